"""The Responses protocol: the other modules of this folder, as the client asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from evalharness.chat_api.protocol import ApiProtocol, StreamMerger
from evalharness.chat_api.protocols.responses.answer import failure_event, to_completion
from evalharness.chat_api.protocols.responses.input_items import check_input, input_items
from evalharness.chat_api.protocols.responses.request import (
    BODY_NAMES,
    REFUSED,
    SHARED_FIELDS,
    check_request,
    request_fields,
)
from evalharness.chat_api.protocols.responses.stream import ResponseMerger
from evalharness.config.models import APIS_WITHOUT_SEED, Profile


class ResponsesProtocol(ApiProtocol):
    """Items in, items out. The server is asked to keep nothing, unless ``extra.store`` is true."""

    name = "responses"
    title = APIS_WITHOUT_SEED["responses"]
    path = "/responses"
    defaults = MappingProxyType({"store": False})
    parameter_names = BODY_NAMES
    shared_fields = SHARED_FIELDS
    lacks = frozenset(REFUSED)
    last_event = "its last event (response.completed)"

    def check(self, params: Mapping[str, Any], where: str, *, partial: bool) -> None:
        """Refuse parameters without a field of this API, and what asks for hidden state."""
        check_request(params, where)

    def check_messages(self, messages: list[dict[str, Any]]) -> None:
        """Refuse recordings and names of participants."""
        check_input(messages)

    def fields(self, params: dict[str, Any], profile: Profile) -> dict[str, Any]:
        """The parameters under their names in this API."""
        return request_fields(params)

    def conversation(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The messages as input items."""
        return {"input": input_items(messages)}

    def merger(self, choices: int | None) -> StreamMerger:
        """A merger of events; there is one choice."""
        return ResponseMerger()

    def as_completion(self, top: dict[str, Any]) -> dict[str, Any]:
        """The response as a completion of one choice."""
        return to_completion(top)

    def stream_error(self, event: dict[str, Any]) -> Any | None:
        """The error of a response that failed or was cancelled."""
        return failure_event(event)
