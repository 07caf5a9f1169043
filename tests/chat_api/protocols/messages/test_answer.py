"""Answers of the Messages API become replies: streamed in any chunking and not, whole or broken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalharness.chat_api.errors.refused_parameter import find_remedy
from evalharness.chat_api.response import interpret
from evalharness.http import Exchange
from evalharness.records import ErrorKind, Outcome, Reply, Status, Usage
from tests.chat_api.protocols.messages.samples import (
    BLOCKS,
    CITATION,
    MESSAGES,
    USAGE,
    events,
    message,
    read,
    sse,
)

COUNTS = Usage(
    prompt_tokens=1320,
    completion_tokens=50,
    cached_tokens=1000,
    cache_write_tokens=300,
    reasoning_tokens=30,
    cache_write_1h_tokens=200,
)


def _same_answer(reply: Reply) -> None:
    assert (reply.status, reply.outcome, reply.error_kind) == (Status.OK, Outcome.DELIVERED, None)
    assert reply.text == "Héllo — it is blue 🌊."
    assert reply.reasoning == "Let me see. Blue."
    assert reply.finish_reason == "tool_use"
    calls = json.loads(reply.tool_calls_json or "")
    assert [(c["id"], c["function"]["name"]) for c in calls] == [
        ("toolu_1", "get_weather"),
        ("toolu_2", "now"),
    ]
    assert [json.loads(c["function"]["arguments"]) for c in calls] == [BLOCKS[6]["input"], {}]
    assert json.loads(reply.annotations_json or "") == [CITATION]
    assert reply.usage == COUNTS
    assert reply.response_model == "claude-haiku-4-5-20251001"
    assert reply.response_id == "msg_01XFDUDYJgAACzvnptvVoYEL"
    assert reply.service_tier == "standard"


def test_whole_message_fills_every_field_and_is_kept() -> None:
    body = json.dumps(message(BLOCKS, stop_reason="tool_use")).encode()
    reply = read(body)
    _same_answer(reply)
    assert reply.response_json == body.decode()


@given(st.lists(st.integers(0, 10_000), max_size=12))
@example([])
@example(list(range(6000)))
def test_stream_in_any_chunking_is_the_unstreamed_answer(cuts: list[int]) -> None:
    whole = message(BLOCKS, stop_reason="tool_use")
    reply = read(sse(events(whole)), cuts, streamed=True)
    _same_answer(reply)
    assert json.loads(reply.response_json or "") == whole


def test_times_of_a_stream() -> None:
    stream = events(message(BLOCKS[:3]))
    chunks = [sse([event]) for event in stream]
    reply = read(
        b"",
        streamed=True,
        chunks=chunks,
        times_ns=[10_000_000 * (n + 1) for n in range(len(chunks))],
    )
    at = {
        (e["type"], e.get("index"), next(iter(e["delta"].values())) if "delta" in e else None): n
        for n, e in enumerate(stream, start=1)
    }
    thoughts = [
        n for (kind, index, _), n in at.items() if kind == "content_block_delta" and not index
    ]
    assert reply.ttft_s == reply.ttfr_s == pytest.approx(0.01 * 4)
    assert reply.last_reasoning_s == pytest.approx(0.05)
    texts = [
        n for n, e in enumerate(stream, start=1) if e.get("delta", {}).get("type") == "text_delta"
    ]
    assert thoughts
    assert reply.ttfo_s == pytest.approx(0.01 * texts[0])
    assert reply.last_content_s == pytest.approx(0.01 * texts[-1])


@pytest.mark.parametrize(
    ("stop_reason", "content", "status"),
    [
        ("end_turn", None, Status.OK),
        ("stop_sequence", None, Status.OK),
        ("tool_use", [BLOCKS[6]], Status.OK),
        ("end_turn", [], Status.EMPTY),
        ("stop_sequence", [], Status.EMPTY),
        ("max_tokens", None, Status.TRUNCATED),
        ("model_context_window_exceeded", None, Status.TRUNCATED),
        ("pause_turn", [BLOCKS[4], BLOCKS[5]], Status.TRUNCATED),
        ("refusal", [], Status.REFUSED),
        ("refusal", None, Status.REFUSED),
        ("a_new_word", None, Status.OK),
    ],
)
def test_stop_reasons(
    stop_reason: str, content: list[dict[str, Any]] | None, status: Status
) -> None:
    whole = message(content, stop_reason=stop_reason)
    for reply in (read(whole), read(sse(events(whole)), streamed=True)):
        assert (reply.status, reply.finish_reason) == (status, stop_reason)
        assert reply.outcome is Outcome.DELIVERED
        assert reply.usage == COUNTS


def test_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "It could do harm."}
    whole = message([], stop_reason="refusal", stop_details=details)
    for reply in (read(whole), read(sse(events(whole)), streamed=True)):
        assert (reply.status, reply.refusal) == (Status.REFUSED, "It could do harm.")


def test_call_that_was_cut_keeps_what_came() -> None:
    stream = events(message([BLOCKS[6]], stop_reason="max_tokens"))
    stream = [e for e in stream if "Z" not in json.dumps(e.get("delta", {}))] + stream[-2:]
    cut = [
        {**e, "delta": {"type": "input_json_delta", "partial_json": '{"place": "Z'}}
        if e.get("delta", {}).get("partial_json")
        else e
        for e in stream
    ]
    reply = read(sse(cut), streamed=True)
    assert reply.status is Status.TRUNCATED
    assert json.loads(reply.tool_calls_json or "")[0]["function"]["arguments"] == '{"place": "Z'


def test_unknown_events_blocks_and_deltas_are_passed_over() -> None:
    stream = events(message([BLOCKS[2], {"type": "tomorrow", "text": "no answer"}]))
    stream.insert(1, {"type": "message_of_tomorrow", "text": "x"})
    stream.insert(
        4, {"type": "content_block_delta", "index": 0, "delta": {"type": "new", "text": "x"}}
    )
    reply = read(sse(stream), streamed=True)
    assert (reply.status, reply.text) == (Status.OK, BLOCKS[2]["text"])


@pytest.mark.parametrize("after", ["start", "text"])
@pytest.mark.parametrize(
    ("kind", "before_content", "outcome"),
    [
        ("overloaded_error", ErrorKind.UNAVAILABLE, Outcome.REJECTED),
        ("rate_limit_error", ErrorKind.RATE_LIMITED, Outcome.REJECTED),
        ("billing_error", ErrorKind.OUT_OF_CREDIT, Outcome.REJECTED),
        ("api_error", ErrorKind.STREAM_ERROR, Outcome.IN_DOUBT),
        ("timeout_error", ErrorKind.STREAM_ERROR, Outcome.IN_DOUBT),
    ],
)
def test_error_in_a_stream(
    after: str, kind: str, before_content: ErrorKind, outcome: Outcome
) -> None:
    begun = events(message())[: 2 if after == "start" else 4]
    error = {"type": "error", "error": {"type": kind, "message": "Overloaded"}, "request_id": "r"}
    reply = read(sse([*begun, error]), streamed=True)
    assert (reply.status, reply.error_code, reply.text) == (Status.ERROR, kind, None)
    if after == "start":
        assert (reply.error_kind, reply.outcome) == (before_content, outcome)
    else:
        assert (reply.error_kind, reply.outcome) == (ErrorKind.STREAM_ERROR, Outcome.IN_DOUBT)
    # The prompt was counted; what the answer would have come to is unknown.
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (1320, None)


def test_stream_that_ends_without_a_stop_reason_is_no_answer() -> None:
    stream = events(message())
    reply = read(sse(stream[:-2]), streamed=True)
    assert (reply.status, reply.error_kind) == (Status.ERROR, ErrorKind.STREAM_CUT)
    assert (reply.text, reply.usage.completion_tokens) == (None, None)
    assert json.loads(reply.response_json or "")["content"] == [{"type": "text", "text": "Hi"}]


def test_answer_is_whole_without_message_stop() -> None:
    reply = read(
        sse(events(message())[:-1]), streamed=True, failure=ErrorKind.CONNECTION_LOST, message="x"
    )
    assert (reply.status, reply.text, reply.usage) == (Status.OK, "Hi", COUNTS)


def test_stream_that_is_one_whole_message() -> None:
    reply = read(b"data: " + json.dumps(message()).encode() + b"\n\n", streamed=True)
    assert (reply.status, reply.text, reply.usage) == (Status.OK, "Hi", COUNTS)


@pytest.mark.parametrize(
    ("status", "kind", "message_text", "error_kind", "outcome"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", "bad_request", "rejected"),
        (401, "authentication_error", "invalid x-api-key", "unauthorized", "rejected"),
        (402, "billing_error", "Check your payment details", "out_of_credit", "rejected"),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
            "Billing to upgrade or purchase credits.",
            "out_of_credit",
            "rejected",
        ),
        (
            400,
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on "
            "2026-12-01 at 00:00 UTC.",
            "out_of_credit",
            "rejected",
        ),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 208310 tokens > 200000 maximum",
            "bad_request",
            "rejected",
        ),
        (403, "permission_error", "no access to this model", "forbidden", "rejected"),
        (404, "not_found_error", "model: claude-x", "not_found", "rejected"),
        (413, "request_too_large", "Request exceeds the maximum size", "bad_request", "rejected"),
        (
            429,
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 50,000 input tokens per "
            "minute",
            "rate_limited",
            "rejected",
        ),
        (500, "api_error", "Internal server error", "server_error", "in_doubt"),
        (504, "timeout_error", "The request timed out", "server_error", "in_doubt"),
        (529, "overloaded_error", "Overloaded", "unavailable", "rejected"),
    ],
)
def test_errors_by_status(
    status: int, kind: str, message_text: str, error_kind: str, outcome: str
) -> None:
    body = {
        "type": "error",
        "error": {"type": kind, "message": message_text},
        "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
    }
    headers = {"request-id": "req_011CSHoEeqs5C35K2UUqR7Fy", "retry-after": "7"}
    reply = read(body, status=status, headers=headers)
    assert (reply.error_kind, reply.outcome) == (ErrorKind(error_kind), Outcome(outcome))
    assert reply.error_code == kind
    assert message_text in (reply.error_message or "")
    assert reply.headers["request-id"] == "req_011CSHoEeqs5C35K2UUqR7Fy"


def test_error_in_a_200_is_no_answer() -> None:
    reply = read({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert (reply.status, reply.error_kind) == (Status.ERROR, ErrorKind.UNAVAILABLE)


def test_what_is_no_message_is_no_answer() -> None:
    reply = read({"id": "x", "hello": 1})
    assert (reply.status, reply.error_kind) == (Status.ERROR, ErrorKind.BAD_RESPONSE)


_WORDS = st.sampled_from(
    [
        "message", "message_start", "message_delta", "message_stop", "content_block_start",
        "content_block_delta", "content_block_stop", "text", "text_delta", "tool_use", "thinking",
        "thinking_delta", "input_json_delta", "signature_delta", "citations_delta", "error", "ping",
        "refusal", "\ud800", "",
    ]
)  # fmt: skip
_KEYS = st.sampled_from(
    [
        "type", "message", "delta", "index", "content_block", "content", "usage", "error", "text",
        "thinking", "signature", "partial_json", "citation", "citations", "stop_reason", "id",
        "stop_details", "explanation", "input", "name", "input_tokens", "output_tokens", "model",
        "cache_creation", "ephemeral_1h_input_tokens", "cache_read_input_tokens", "choices",
        "service_tier",
    ]
)  # fmt: skip
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**18) | st.floats() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=8,
)
_EVENTS = st.dictionaries(_KEYS, _VALUES, max_size=5).flatmap(
    lambda fields: _WORDS.map(lambda kind: {**fields, "type": kind})
)


@given(st.lists(_EVENTS, max_size=6), st.booleans(), st.lists(st.integers(0, 2000), max_size=5))
def test_hostile_events_and_bodies_give_one_reply(
    stream: list[dict[str, Any]], whole: bool, cuts: list[int]
) -> None:
    """What no server should send is classified, never by the net under the interpreter."""
    body = json.dumps(stream[0]).encode() if whole and stream else sse(stream)
    reply = read(body, cuts, streamed=not whole)
    assert isinstance(reply, Reply)
    assert "could not be read" not in (reply.error_message or "")
    for text in (reply.text, reply.reasoning, reply.response_json, reply.refusal):
        assert text is None or text.encode()


@given(st.binary(max_size=400), st.booleans(), st.integers(100, 599))
def test_any_bytes_give_one_reply(body: bytes, streamed: bool, status: int) -> None:
    exchange = Exchange(sent_at_ns=1, status=status, chunks=[body], times_ns=[1], latency_s=1.0)
    reply = interpret(exchange, streamed=streamed, protocol=MESSAGES)
    assert "could not be read" not in (reply.error_message or "")


def test_usage_without_a_cache() -> None:
    reply = read(message(usage={"input_tokens": 7, "output_tokens": 3}))
    assert reply.usage == Usage(prompt_tokens=7, completion_tokens=3)
    assert USAGE["input_tokens"] == 20


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("`temperature` is deprecated for this model.", "params.temperature=null"),
        ("'stop_sequences' is not supported on this model", "params.stop=null"),
        ("role 'system' is not supported on this model", None),
        ("output_config.format: Extra inputs are not permitted", None),
    ],
)
def test_remedy_names_what_was_typed(words: str, advice: str | None) -> None:
    """A field that is made from messages, or from two parameters, has no parameter to leave out."""
    sent = {"model": "m", "messages": [], "system": "s", "temperature": 1, "stop_sequences": ["x"]}
    remedy = find_remedy(words, sent | {"output_config": {}}, MESSAGES.parameter_names)
    assert remedy == (None if advice is None else f"leave it out: {advice}")
