"""Where the words of an error stand: every known place, over HTTP and inside a 200."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.chat_api.errors.error_body import (
    MAX_MESSAGE,
    loose_error,
    read_error,
    stated_error,
)
from evalharness.records import ErrorKind, Outcome, Status
from tests.chat_api.test_response import answer, delta, said, sse

WORDS = "seven is more than six"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"code": "InvalidParameter", "message": WORDS}, WORDS),
        ({"object": "error", "message": WORDS, "type": "BadRequestError", "code": 400}, WORDS),
        ({"detail": WORDS}, WORDS),
        ({"detail": [{"loc": ["body", "top_k"], "msg": WORDS}]}, f"top_k: {WORDS}"),
        ({"detail": [{"msg": "a"}, {"loc": ["query", 3], "msg": "b"}]}, "a; query.3: b"),
        ({"detail": {"error": {"message": WORDS}}}, WORDS),
        (
            {"message": {"detail": [{"loc": ["body", "a", "b"], "msg": WORDS}]}, "code": None},
            f"a.b: {WORDS}",
        ),
        ({"error": {"message": {"detail": [{"msg": WORDS}]}}}, WORDS),
        ({"error": "Bad Request", "message": ["m must be a text", "n too"]}, "m must be a text; n too"),
        ({"error": [{"message": WORDS}]}, WORDS),
        ([{"error": {"code": 400, "message": WORDS}}], WORDS),
        ([{"field": "n", "message": WORDS}, {"path": ["stop"], "message": "x"}], f"n: {WORDS}; stop: x"),
        ({"title": "One is wrong.", "errors": {"seed": [WORDS]}}, f"One is wrong. seed: {WORDS}"),
        ({"errors": [{"detail": WORDS}]}, WORDS),
        ({"error_code": 336003, "error_msg": WORDS}, WORDS),
        ({"base_resp": {"status_code": 2013, "status_msg": WORDS}}, WORDS),
        (
            {"error": {"message": "upstream", "metadata": {"raw": json.dumps({"message": WORDS})}}},
            f"upstream: {WORDS}",
        ),
        ({"why": WORDS}, json.dumps({"why": WORDS}, separators=(",", ":"))),
        (f'event: error\ndata: {{"error":{{"message":"{WORDS}"}}}}\n\n', WORDS),
        (f'{{"error":"{WORDS}"}}\n{{"done":true}}\n', WORDS),
    ],
)  # fmt: skip
def test_the_words_are_read_in_every_place(body: Any, message: str) -> None:
    """The message of a refused request is the server's own, with the place it is about."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert said(data, status=400).error_message == f"HTTP 400: {message}"


START = delta({"role": "assistant", "content": ""})
SOME = delta({"content": "half"})


@pytest.mark.parametrize("before", [[], [START], [START, SOME]], ids=["first", "role", "text"])
@pytest.mark.parametrize("end", ["", "data: [DONE]\n\n", "\n\n"])
@pytest.mark.parametrize(
    "event",
    [
        'error: {"code":500,"message":"WORDS"}\n\n',
        "error: WORDS\n\n",
        '{"error":{"message":"WORDS"}}\n',
        '{\n  "error": {\n    "message": "WORDS"\n  }\n}\n',
        '[{"error":{"code":500,"message":"WORDS"}}]\n',
        'event: error\ndata: {"message":"WORDS"}\n\n',
        "event: error\ndata: WORDS\n\n",
        'data: {"object":"error","message":"WORDS","code":null}\n\n',
        'data: {"code":"InternalError","message":"WORDS"}\n\n',
        'data: {"type":"error","error":{"type":"api_error","message":"WORDS"}}\n\n',
        'data: [{"error":{"code":500,"message":"WORDS"}}]\n\n',
        'data: {"detail":"WORDS"}\n\n',
        'data: {"id":"c","error":{"message":"WORDS"},"choices":[]}\n\n',
        "data: WORDS\n\n",
    ],
)
def test_the_words_of_an_error_in_a_stream(before: list[Any], event: str, end: str) -> None:
    """A stream that carries an error in any form is an error with its words, never an answer."""
    stream = sse(*before, done=False) + event.replace("WORDS", WORDS).encode() + end.encode()
    reply = said(stream, streamed=True, headers={"content-type": "text/event-stream"})
    assert (reply.status, reply.outcome) == (Status.ERROR, Outcome.IN_DOUBT)
    assert WORDS in (reply.error_message or "")
    assert reply.text is None


def test_an_error_event_without_an_end_is_read() -> None:
    """The connection ends within the event that says why."""
    stream = sse(START, SOME, done=False) + b'data: {"error":{"message":"gone"}}\n'
    assert said(stream, streamed=True).error_message == "gone"


@pytest.mark.parametrize(
    "chunk",
    [
        {"type": "ping"},
        {"status": "processing", "message": "number 3 in the queue"},
        {"message": {"role": "assistant"}, "done": False},
        {"choices": [], "usage": {"prompt_tokens": 1}},
        {"choices": [], "code": 200, "message": "ok"},
    ],
)
def test_what_is_no_error_is_none(chunk: dict[str, Any]) -> None:
    """Notes between the chunks of an answer are not taken for errors."""
    assert stated_error(chunk) is None or "status" in chunk
    if "status" not in chunk:
        reply = said(sse(START, chunk, delta({"content": "x"}, "stop")), streamed=True)
        assert (reply.status, reply.text) == (Status.OK, "x")


def test_a_finished_stream_is_an_answer_whatever_follows() -> None:
    """Lines outside the events change nothing of an answer that is complete."""
    stream = sse(delta({"content": "x"}, "stop"), done=False) + b"error: too late\n\n"
    assert said(stream, streamed=True).status is Status.OK


@pytest.mark.parametrize(
    ("error", "kind", "outcome"),
    [
        ({"code": 429, "message": "m"}, ErrorKind.RATE_LIMITED, Outcome.REJECTED),
        ({"code": "429", "message": "m"}, ErrorKind.RATE_LIMITED, Outcome.REJECTED),
        ({"status": "RESOURCE_EXHAUSTED", "message": "m"}, ErrorKind.RATE_LIMITED, Outcome.REJECTED),
        ({"type": "overloaded_error", "message": "m"}, ErrorKind.UNAVAILABLE, Outcome.REJECTED),
        ({"code": 529, "message": "m"}, ErrorKind.UNAVAILABLE, Outcome.REJECTED),
        ({"code": 498, "message": "m"}, ErrorKind.UNAVAILABLE, Outcome.REJECTED),
        ({"type": "invalid_request_error", "message": "m"}, ErrorKind.BAD_REQUEST, Outcome.REJECTED),
        ({"type": "NotFoundError", "message": "m"}, ErrorKind.NOT_FOUND, Outcome.REJECTED),
        ({"code": "content_filter", "message": "m"}, ErrorKind.CONTENT_FILTER, Outcome.DELIVERED),
        ({"code": 402, "message": "m"}, ErrorKind.OUT_OF_CREDIT, Outcome.REJECTED),
        ({"message": "the prompt is too long"}, ErrorKind.BAD_REQUEST, Outcome.REJECTED),
    ],
)  # fmt: skip
def test_an_error_in_a_200_is_what_it_says(
    error: dict[str, Any], kind: ErrorKind, outcome: Outcome
) -> None:
    """Before any content an error is classified as if it had come with its status."""
    for body in (
        json.dumps({"error": error}).encode(),
        sse({"error": error}),
        sse(START, error | {"object": "error"}),
        sse(START, done=False) + b"error: " + json.dumps(error).encode() + b"\n\n",
        sse(START, done=False) + json.dumps({"error": error}).encode() + b"\n",
    ):
        reply = said(body, streamed=body[:1] != b"{")
        assert (reply.error_kind, reply.outcome) == (kind, outcome)
        assert (reply.status is Status.REFUSED) == (kind is ErrorKind.CONTENT_FILTER)


def test_after_some_text_only_what_cannot_succeed_is_told_apart() -> None:
    """Half an answer was perhaps billed: in doubt, and final where asking again is of no use."""
    for code, kind, outcome in (
        ("context_length_exceeded", ErrorKind.BAD_REQUEST, Outcome.IN_DOUBT),
        ("data_inspection_failed", ErrorKind.CONTENT_FILTER, Outcome.DELIVERED),
        ("rate_limit_exceeded", ErrorKind.STREAM_ERROR, Outcome.IN_DOUBT),
    ):
        reply = said(sse(SOME, {"error": {"code": code, "message": "m"}}), streamed=True)
        assert (reply.error_kind, reply.outcome) == (kind, outcome)
        assert "half" in (reply.response_json or "")


def test_looking_for_loose_errors_takes_linear_time() -> None:
    """A body of nothing but beginnings is given up, and nesting multiplies nothing."""
    for name in ("message", "error", "errors", "detail", "innererror"):
        nested: Any = "m"
        for _ in range(200):
            nested = {name: nested}
        assert len(read_error(nested).message or "") <= MAX_MESSAGE
    for part in (b"\n[", b'\n{"error":', b"\nerror:", b'\ndata: {"error'):
        assert said(b"data: {}\n\n" + part * 100_000, streamed=True).status is Status.ERROR


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}


@pytest.mark.parametrize(
    ("details", "wait_s"),
    [
        ([RETRY_INFO], 3.5),
        ([{"@type": "type.googleapis.com/google.rpc.Help"}, RETRY_INFO], 3.5),
        ([RETRY_INFO | {"retryDelay": "41s"}, RETRY_INFO], 41.0),
        ([RETRY_INFO | {"retryDelay": {"seconds": 2, "nanos": 500_000_000}}], 2.5),
        ([RETRY_INFO | {"retryDelay": "0s"}], None),
        ([RETRY_INFO | {"retryDelay": "soon"}], None),
        ([{"@type": "another", "retryDelay": "9s"}], None),
        ([], None),
    ],
)
def test_retry_info_is_a_wait(details: list[Any], wait_s: float | None) -> None:
    """The delay of a google.rpc.RetryInfo, in whatever wrapping, and inside a 200 too."""
    error = {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details}
    raw = {"error": {"message": "up", "code": 429, "metadata": {"raw": json.dumps(error)}}}
    for body in ({"error": error}, [{"error": error}], raw):
        data = json.dumps(body).encode()
        replies = [said(data, status=429), said(data), said(sse(json.dumps(body)), streamed=True)]
        assert [reply.retry_after_s for reply in replies] == [wait_s] * 3
        assert {reply.error_kind for reply in replies} == {ErrorKind.RATE_LIMITED}
    assert said(answer()).retry_after_s is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "errors", "code", "loc", "msg", "raw"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@given(JSON, st.binary(max_size=80))
def test_any_json_is_read(value: Any, loose: bytes) -> None:
    """Any value gives at most one short line, in bounded time; loose bytes raise nothing."""
    for error in (read_error(value), read_error({"error": value})):
        message = error.message or ""
        assert len(message) <= MAX_MESSAGE
        assert message.splitlines() in ([], [message])
    loose_error(loose)
    loose_error(b"error: " + loose)
    loose_error(b"\n{" + loose)
