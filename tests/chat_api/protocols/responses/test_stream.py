"""Streams of the Responses API: merged into what an unstreamed answer would be, and timed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.response import interpret
from evalharness.records import ErrorKind, Outcome, Reply, Status
from tests.chat_api.protocols.responses.samples import (
    ALL_EVENTS,
    BODY_EVENTS,
    CALL,
    OUTPUT,
    begin,
    event,
    events,
    message,
    response,
    text_part,
)
from tests.chat_api.protocols.responses.test_answer import reply_to
from tests.chat_api.test_response import cut_lists, exchange, untimed

PROTOCOL = get_protocol("responses")
STREAM = b"".join(events(*ALL_EVENTS))
PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
DELTA = event("output_text.delta", **PLACE, delta="par", logprobs=[])
DONE = event("completed", response=response([message(text_part("partial"))]))


def streamed(*payloads: dict[str, Any], rest: bytes = b"") -> Reply:
    """The reply that a stream of these events gives."""
    data = b"".join(events(*payloads)) + rest
    return interpret(exchange(data), streamed=True, protocol=PROTOCOL)


def output_of(reply: Reply) -> Any:
    return json.loads(reply.response_json or "")["output"]


@given(cuts=cut_lists, end=st.sampled_from(["\n", "\r", "\r\n"]))
def test_a_stream_in_any_chunking_is_the_unstreamed_answer(cuts: list[int], end: str) -> None:
    """Also where a cut is inside a character; no ``[DONE]`` is needed."""
    stream = STREAM.replace(b"\n", end.encode())
    reply = interpret(exchange(stream, cuts), streamed=True, protocol=PROTOCOL)
    whole = reply_to(response())
    assert json.loads(reply.response_json or "") == json.loads(whole.response_json or "")
    same = msgspec.structs.replace(untimed(reply), response_json=whole.response_json)
    assert same == untimed(whole)


@pytest.mark.parametrize("output", [[], None])
def test_a_last_event_without_output_has_that_of_the_deltas(output: Any) -> None:
    """Some servers leave it out to save bytes."""
    last = event("completed", response=response() | {"output": output})
    reply = streamed(*BODY_EVENTS, last)
    assert output_of(reply) == OUTPUT
    assert (reply.status, reply.text) == (Status.OK, "Grüße 🙂")
    assert reply.usage.total_tokens == 50


@pytest.mark.parametrize(
    "dropped",
    [
        (".done",),
        (".added",),
        (".delta",),
        (".added", "_item.done", "_part.done"),
        ("_item.done", "_part.done", "annotation.added"),
    ],
)
def test_any_of_the_events_that_repeat_one_another_may_miss(dropped: tuple[str, ...]) -> None:
    """Deltas alone are enough, and so is what says that an item is done."""
    payloads = [payload for payload in BODY_EVENTS if not payload["type"].endswith(dropped)]
    reply = streamed(*payloads, event("completed", response=response([])))
    assert (reply.status, reply.text) == (Status.OK, "Grüße 🙂")
    assert reply.reasoning == "First.\n\nThen."
    assert json.loads(reply.tool_calls_json or "")[0]["function"]["arguments"] == '{"a":1}'
    assert len(json.loads(reply.logprobs_json or "")["content"]) == 2


def test_events_without_places_go_on_with_the_last_item() -> None:
    """Some servers number neither items nor parts."""
    bare = [
        {k: v for k, v in p.items() if k not in ("output_index", "content_index", "item_id")}
        for p in BODY_EVENTS
        if p["type"].endswith((".delta", "output_item.added")) and "summary" not in p["type"]
    ]
    reply = streamed(*bare, event("completed", response=response([])))
    assert (reply.text, len(output_of(reply))) == ("Grüße 🙂", 4)
    reply = streamed(*[p for p in bare if p["type"].endswith("delta")], DONE)
    assert reply.status is Status.OK


def test_times() -> None:
    """The first token counts reasoning, the first output does not; empty items are no content."""
    payloads = [
        *begin(),
        event("output_item.added", output_index=0, item={"type": "reasoning", "summary": []}),
        event("reasoning_text.delta", output_index=0, content_index=0, delta="hm"),
        event("reasoning_text.delta", output_index=0, content_index=0, delta="m"),
        event("reasoning_text.done", output_index=0, content_index=0, text="hmm"),
        event("output_item.added", output_index=1, item=message()),
        event("output_text.delta", output_index=1, content_index=0, delta="Hi"),
        event("output_item.added", output_index=2, item={**CALL, "arguments": ""}),
        event("completed", response=response()),
    ]
    chunks = events(*payloads)
    seen = exchange(
        b"".join(chunks), chunks=chunks, times_ns=[(n + 1) * 10**9 for n in range(len(chunks))]
    )
    reply = interpret(seen, streamed=True, keep_chunk_times=True, protocol=PROTOCOL)
    assert (reply.ttft_s, reply.ttfr_s, reply.last_reasoning_s) == (4.0, 4.0, 5.0)
    assert (reply.ttfo_s, reply.last_content_s) == (8.0, 9.0)
    assert reply.chunk_times_s == [4.0, 5.0, 8.0, 9.0]


def test_a_server_without_deltas_has_its_content_at_the_end() -> None:
    """What comes whole came when it came."""
    chunks = events(*begin(), DONE)
    seen = exchange(b"".join(chunks), chunks=chunks, times_ns=[10**9, 2 * 10**9, 3 * 10**9])
    reply = interpret(seen, streamed=True, protocol=PROTOCOL)
    assert (reply.text, reply.ttft_s, reply.ttfo_s) == ("partial", 3.0, 3.0)


def test_a_refusal_and_a_limit() -> None:
    """Streamed refusals are refusals; an incomplete response is cut."""
    refusal = [
        event("refusal.delta", **PLACE, delta="I can"),
        event("refusal.delta", **PLACE, delta="not."),
        event("refusal.done", **PLACE, refusal="I cannot."),
    ]
    reply = streamed(*begin(), *refusal, event("completed", response=response([])))
    assert (reply.status, reply.refusal, reply.text) == (Status.REFUSED, "I cannot.", None)
    details = {"reason": "max_output_tokens"}
    last = event("incomplete", response=response([], "incomplete", incomplete_details=details))
    reply = streamed(*begin(), DELTA, last)
    assert (reply.status, reply.finish_reason, reply.text) == (Status.TRUNCATED, "length", "par")


FAILURE = {"code": "server_error", "message": "The model crashed."}
ERROR = {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None}


@pytest.mark.parametrize(
    ("payloads", "kind", "outcome", "words"),
    [
        (
            [DELTA, event("failed", response=response([], "failed", error=FAILURE))],
            ErrorKind.STREAM_ERROR, Outcome.IN_DOUBT, "The model crashed.",
        ),
        (
            [event("failed", response=response([], "failed", usage=None, error=ERROR))],
            ErrorKind.RATE_LIMITED, Outcome.REJECTED, "slow down",
        ),
        (
            [event("failed", response=response([], "failed", error=ERROR))],
            ErrorKind.STREAM_ERROR, Outcome.IN_DOUBT, "slow down",
        ),
        ([DELTA, ERROR], ErrorKind.STREAM_ERROR, Outcome.IN_DOUBT, "slow down"),
        ([ERROR], ErrorKind.RATE_LIMITED, Outcome.REJECTED, "slow down"),
        (
            [event("cancelled", response=response([], "cancelled"))],
            ErrorKind.STREAM_ERROR, Outcome.IN_DOUBT, "was cancelled",
        ),
        ([DELTA], ErrorKind.STREAM_CUT, Outcome.IN_DOUBT, "response.completed"),
        (BODY_EVENTS[2:], ErrorKind.STREAM_CUT, Outcome.IN_DOUBT, "response.completed"),
        (
            [event("in_progress", response=response([], "in_progress"))],
            ErrorKind.STREAM_CUT, Outcome.IN_DOUBT, "response.completed",
        ),
    ],
)  # fmt: skip
def test_a_stream_without_its_end_is_a_failure(
    payloads: list[dict[str, Any]], kind: ErrorKind, outcome: Outcome, words: str
) -> None:
    """What had come is kept in the stored body, never as a text."""
    reply = streamed(*begin(), *payloads)
    assert (reply.error_kind, reply.outcome, reply.text) == (kind, outcome, None)
    assert words in (reply.error_message or "")
    assert reply.response_id == "resp_1"
    if DELTA in payloads:
        assert output_of(reply)[0]["content"] == [{"type": "output_text", "text": "par"}]
    counted = any(as_usage(payload) for payload in payloads)
    assert reply.usage.total_tokens == (50 if counted else None)


def as_usage(payload: dict[str, Any]) -> Any:
    return payload.get("response", {}).get("usage")


def test_what_comes_after_the_end_changes_nothing() -> None:
    """The answer is whole and counted."""
    reply = streamed(*begin(), DELTA, DONE, ERROR, rest=b"data: [DONE]\n\n")
    assert (reply.outcome, reply.text) == (Outcome.DELIVERED, "partial")


EVENTS_WITHOUT_EFFECT = [
    event("queued", response=response([], "queued", usage=None)),
    event("code_interpreter_call.in_progress", output_index=0, item_id="x"),
    event("code_interpreter_call.interpreting", output_index=0, item_id="x"),
    event("code_interpreter_call.completed", output_index=0, item_id="x"),
    event("file_search_call.in_progress", output_index=0, item_id="x"),
    event("file_search_call.searching", output_index=0, item_id="x"),
    event("file_search_call.completed", output_index=0, item_id="x"),
    event("image_generation_call.in_progress", output_index=0, item_id="x"),
    event("image_generation_call.generating", output_index=0, item_id="x"),
    event("image_generation_call.completed", output_index=0, item_id="x"),
    event(
        "image_generation_call.partial_image",
        output_index=0, item_id="x", partial_image_index=0, partial_image_b64="AA==",
    ),
    event("mcp_call.in_progress", output_index=0, item_id="x"),
    event("mcp_call.completed", output_index=0, item_id="x"),
    event("mcp_call.failed", output_index=0, item_id="x"),
    event("mcp_list_tools.in_progress", output_index=0, item_id="x"),
    event("mcp_list_tools.completed", output_index=0, item_id="x"),
    event("mcp_list_tools.failed", output_index=0, item_id="x"),
    event("shell_call_command.added", output_index=0, command_index=0, command="ls"),
    event("shell_call_command.delta", output_index=0, command_index=0, delta="ls"),
    event("shell_call_command.done", output_index=0, command_index=0, command="ls"),
    event(
        "shell_call_output_content.delta",
        output_index=0, item_id="x", command_index=0, delta={"stdout": "a"},
    ),
    event(
        "shell_call_output_content.done",
        output_index=0, item_id="x", command_index=0, output=[],
    ),
    event("compaction.compacting", output_index=0, item_id="x"),
    event("audio.done"),
    event("audio.transcript.done"),
    event("of_next_year", delta="x"),
    {"type": "keepalive"},
]  # fmt: skip


@pytest.mark.parametrize("payload", EVENTS_WITHOUT_EFFECT, ids=lambda p: p["type"])
def test_an_event_of_no_use_changes_nothing(payload: dict[str, Any]) -> None:
    """Neither answer nor times; items of such tools come whole when they are done."""
    chunks = events(*begin(), payload, DELTA, DONE)
    seen = exchange(b"".join(chunks), chunks=chunks, times_ns=[n * 10**9 for n in range(5)])
    reply = interpret(seen, streamed=True, protocol=PROTOCOL)
    assert (reply.status, reply.text, reply.ttft_s) == (Status.OK, "partial", 3.0)
    assert reply.response_json == streamed(*begin(), DELTA, DONE).response_json


@pytest.mark.parametrize(
    ("stem", "key", "kind"),
    [
        ("custom_tool_call_input", "input", "custom_tool_call"),
        ("mcp_call_arguments", "arguments", "mcp_call"),
        ("code_interpreter_call_code", "code", "code_interpreter_call"),
    ],
)
def test_texts_of_other_tools_are_merged(stem: str, key: str, kind: str) -> None:
    """They are in the body of a stream that is cut, too."""
    place = {"output_index": 0, "item_id": "x"}
    deltas = [event(f"{stem}.delta", **place, delta=piece) for piece in ("1", "2")]
    item = {"type": kind, "id": "x", key: "12"}
    assert output_of(streamed(*deltas)) == [item]
    assert output_of(streamed(event(f"{stem}.done", **place, **{key: "12"}))) == [item]


def test_audio_is_an_output() -> None:
    """It belongs to no item: its transcript is in the record, its sound in the stored body."""
    reply = streamed(
        *begin(),
        event("audio.delta", delta="AA"),
        event("audio.transcript.delta", delta="Hel"),
        event("audio.transcript.delta", delta="lo"),
        event("completed", response=response([])),
    )
    assert (reply.status, reply.audio_json) == (Status.OK, '{"transcript":"Hello"}')
    assert reply.ttfo_s is not None
    assert json.loads(reply.response_json or "")["audio"] == {"data": "AA", "transcript": "Hello"}


# Values of the wrong type everywhere, in events of every known type.
KINDS = sorted({p["type"] for p in [*ALL_EVENTS, *EVENTS_WITHOUT_EFFECT, ERROR]} | {
    "response.failed", "response.incomplete", "response.reasoning_text.delta",
    "response.reasoning_text.done", "response.refusal.delta", "response.refusal.done",
    "response.audio.delta", "response.mcp_call_arguments.delta", "response.done",
})  # fmt: skip
leaves = (
    st.none() | st.booleans() | st.integers(-1, 2**65) | st.floats(allow_nan=False)
    | st.sampled_from(["", "text", "\ud800", "completed", "failed", "queued", "incomplete"])
    | st.sampled_from(["message", "reasoning", "function_call", "output_text", "refusal"])
)  # fmt: skip
keys = st.sampled_from(
    ["type", "output", "status", "error", "usage", "content", "summary", "text", "refusal", "id",
     "name", "arguments", "call_id", "annotations", "logprobs", "message", "code", "created_at",
     "incomplete_details", "reason", "audio", "input_tokens", "output_tokens", "object"]
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
payloads = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional=dict.fromkeys(
        ["response", "item", "part", "delta", "text", "arguments", "refusal", "output_index",
         "content_index", "summary_index", "item_id", "annotation", "logprobs", "code"],
        values,
    ),
)  # fmt: skip


@given(
    body=st.lists(payloads | st.sampled_from(ALL_EVENTS), max_size=8).map(
        lambda parts: b"".join(b"data: " + json.dumps(part).encode() + b"\n\n" for part in parts)
    )
    | st.dictionaries(keys, values).map(lambda top: json.dumps(top).encode())
    | st.binary(max_size=50),
    cuts=cut_lists,
    failure=st.none() | st.sampled_from([ErrorKind.CONNECTION_LOST, ErrorKind.TOTAL_TIMEOUT]),
)
def test_any_bytes_give_one_reply(body: bytes, cuts: list[int], failure: Any) -> None:
    """Any bytes in any chunking: the same single reply, storable, and no last resort used."""
    fields = {"failure": failure}
    whole = interpret(exchange(body, **fields), streamed=True, protocol=PROTOCOL)
    pieces = interpret(exchange(body, cuts, **fields), streamed=True, protocol=PROTOCOL)
    assert untimed(pieces) == untimed(whole)
    assert not (whole.error_message or "").startswith("could not be read")
    assert (whole.status is Status.ERROR) == (whole.outcome is not Outcome.DELIVERED)
    assert whole.status is not Status.ERROR or whole.text is None
    if whole.response_json is not None:
        json.loads(whole.response_json, parse_constant=pytest.fail)
    stored = msgspec.msgpack.encode(whole)
    assert msgspec.msgpack.decode(stored, type=Reply) == whole
