"""Requests, samples and the names of events are those of OpenAI's own client."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import TypeAdapter

from evalharness.chat_api.protocols.responses import output_merge
from tests.chat_api.protocols.responses.samples import ALL_EVENTS, response
from tests.chat_api.protocols.responses.test_request import CONVERSATION, PARTS, SENT, body
from tests.chat_api.protocols.responses.test_stream import EVENTS_WITHOUT_EFFECT

_UNDOCUMENTED = {"response.of_next_year", "keepalive"}
_event = TypeAdapter[Any](ResponseStreamEvent)


def _types() -> set[str]:
    """The types of events that the client knows."""
    classes = get_args(get_args(ResponseStreamEvent)[0])
    return {get_args(c.model_fields["type"].annotation)[0] for c in classes}


def test_samples_are_what_the_client_reads() -> None:
    """An answer and every event of a stream."""
    Response.model_validate(response())
    for number, payload in enumerate([*ALL_EVENTS, *EVENTS_WITHOUT_EFFECT]):
        if payload["type"] not in _UNDOCUMENTED:
            _event.validate_python({**payload, "sequence_number": number})


def test_names_of_events_are_the_clients() -> None:
    """A typing error in the tables would lose the texts of a stream that is cut."""
    texts = {f"{stem}.{end}" for stem in output_merge.TEXTS for end in ("delta", "done")}
    others = {*output_merge.PARTS, *output_merge.ITEMS, *output_merge.AUDIO}
    assert texts | others <= _types()
    assert {p["type"] for p in EVENTS_WITHOUT_EFFECT} <= _types() | _UNDOCUMENTED


@pytest.mark.parametrize("params", [params for params, _ in SENT])
def test_bodies_are_what_the_client_may_send(params: dict[str, Any]) -> None:
    """With every parameter."""
    sent = body(params)
    streamed = sent.get("stream") is True
    form = ResponseCreateParamsStreaming if streamed else ResponseCreateParamsNonStreaming
    TypeAdapter[Any](form).validate_python(sent)


def test_prompts_are_what_the_client_may_send() -> None:
    """With messages of every role, and parts of every kind; an id of an output is made by servers."""
    items = body({}, CONVERSATION)["input"]
    for item in items:
        if item.get("role") == "assistant" and isinstance(item["content"], list):
            item |= {"id": "msg_1", "status": "completed"}
    form = TypeAdapter[Any](ResponseCreateParamsNonStreaming)
    form.validate_python({"model": "m", "input": items})
    form.validate_python(body({}, [{"role": "user", "content": PARTS}]))
