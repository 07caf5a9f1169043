"""Chat completions (``/chat/completions``), whose names and forms the parameters have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalharness.chat_api.protocol import ApiProtocol, StreamMerger
from evalharness.chat_api.streams.stream_merge import ChunkMerger
from evalharness.config.models import Profile


class ChatCompletions(ApiProtocol):
    """Everything is sent and read as it is."""

    name = "chat"
    title = "chat completions"
    path = "/chat/completions"
    one_list = True
    is_chat = True

    def check(self, params: Mapping[str, Any], where: str, *, partial: bool) -> None:
        """Every parameter can be said."""

    def check_messages(self, messages: list[dict[str, Any]]) -> None:
        """Every message can be said."""

    def fields(self, params: dict[str, Any], profile: Profile) -> dict[str, Any]:
        """The parameters; a streamed request also asks for the usage, if the profile says so."""
        fields = dict(params)
        if fields.get("stream") is True and profile.stream_usage and "stream_options" not in fields:
            fields["stream_options"] = {"include_usage": True}
        return fields

    def conversation(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The messages."""
        return {"messages": messages}

    def merger(self, choices: int | None) -> StreamMerger:
        """A merger of chunks."""
        return ChunkMerger(choices)

    def as_completion(self, top: dict[str, Any]) -> dict[str, Any]:
        """The answer itself."""
        return top

    def stream_error(self, event: dict[str, Any]) -> Any | None:
        """The shared rules see all."""
        return None
