"""The Messages protocol: https://platform.claude.com/docs/en/api/messages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from evalharness.chat_api.protocol import ApiProtocol, StreamMerger
from evalharness.chat_api.protocols.messages.answer import message_as_completion
from evalharness.chat_api.protocols.messages.conversation import (
    check_conversation,
    conversation_fields,
)
from evalharness.chat_api.protocols.messages.request import REFUSED, check_fields, request_fields
from evalharness.chat_api.protocols.messages.stream import MessageMerger
from evalharness.config.models import APIS_WITHOUT_SEED, Profile


class MessagesProtocol(ApiProtocol):
    """Anthropic's Messages."""

    name = "messages"
    title = APIS_WITHOUT_SEED["messages"]
    path = "/messages"
    headers = MappingProxyType({"anthropic-version": "2023-06-01"})
    # A field that two parameters become, or none, has no parameter to leave out.
    parameter_names = MappingProxyType(
        {"stop_sequences": "stop", "output_config": "", "system": "", "metadata": "user"}
    )
    lacks = frozenset(REFUSED)
    has_cache_control = True

    def check(self, params: Mapping[str, Any], where: str, *, partial: bool) -> None:
        """Refuse parameters that a request cannot say."""
        check_fields(params, where, partial=partial)

    def check_messages(self, messages: list[dict[str, Any]]) -> None:
        """Refuse messages that a request cannot say."""
        check_conversation(messages)

    def fields(self, params: dict[str, Any], profile: Profile) -> dict[str, Any]:
        """The parameters under the names that they have here."""
        return request_fields(params)

    def conversation(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """``system``, and the messages as content blocks."""
        return conversation_fields(messages)

    def merger(self, choices: int | None) -> StreamMerger:
        """A merger of events; there is one choice."""
        return MessageMerger()

    def as_completion(self, top: dict[str, Any]) -> dict[str, Any]:
        """The message as a chat completion."""
        return message_as_completion(top)

    def stream_error(self, event: dict[str, Any]) -> Any | None:
        """The shared rules see all: an event ``error`` has an ``error``."""
        return None
