"""interpret(): any bytes become exactly one Reply, and the right one."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalharness.chat_api.response import interpret
from evalharness.config.models import Profile
from evalharness.http import Exchange
from evalharness.http.redaction import Redactor, Secret
from evalharness.records import ErrorKind, Outcome, Reply, Status, Usage
from tests.http.raw_server import ANSWER

USAGE = {
    "prompt_tokens": 8,
    "completion_tokens": 68.0,
    "total_tokens": 76,
    "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 2},
    "completion_tokens_details": {
        "reasoning_tokens": 3,
        "audio_tokens": 4,
        "accepted_prediction_tokens": 5,
        "rejected_prediction_tokens": 6,
    },
}


def exchange(body: bytes, cuts: list[int] | None = None, **fields: Any) -> Exchange:
    """An exchange whose body came in pieces, one every 10 ms."""
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts or []), len(body)]
    chunks = [body[start:end] for start, end in pairwise(places) if end > start]
    given_fields: dict[str, Any] = {
        "sent_at_ns": 1,
        "status": 200,
        "chunks": chunks,
        "times_ns": [10_000_000 * (n + 1) for n in range(len(chunks))],
        "headers_s": 0.005,
        "latency_s": 9.0,
    }
    return Exchange(**{**given_fields, **fields})


def said(body: bytes | dict[str, Any], *, streamed: bool = False, **fields: Any) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return interpret(exchange(data, **fields), streamed=streamed)


def answer(message: Any = None, finish: Any = "stop", **top: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Hi"} if message is None else message,
    }
    return {"id": "c", "choices": [{**choice, "finish_reason": finish}], **top}


def sse(*chunks: dict[str, Any] | str, done: bool = True) -> bytes:
    lines = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] if done else [])]).encode()


def delta(
    fields: dict[str, Any] | None = None, finish: Any = None, index: int = 0, **top: Any
) -> dict[str, Any]:
    choice = {"index": index, "delta": fields or {}, "finish_reason": finish}
    return {"id": "c", "model": "m", "choices": [choice], **top}


def test_every_property_of_the_openapi() -> None:
    """A complete response fills every field, and its JSON is kept to the byte."""
    message = {
        "role": "assistant",
        "content": "42",
        "reasoning_content": "hm",
        "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
        "audio": {"id": "a", "data": "AAAA", "transcript": "t", "expires_at": 5},
        "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "n", "input": "i"}}],
        "odd": {"kept": True},
    }
    logprobs = {"content": [{"token": "4", "logprob": -0.1, "bytes": [52]}], "refusal": []}
    body = answer(message, "tool_calls", model="m-1", created=1700000000.0, usage=USAGE)
    body |= {"system_fingerprint": "fp", "service_tier": "flex", "odd": [1]}
    body["choices"][0]["logprobs"] = logprobs
    text = json.dumps(body)
    reply = said(
        text.encode(),
        headers={
            "x-aimlapi-usd-spent": "0.001240000",
            "x-aimlapi-credits-used": "2480",
            "x-inference-id": "inf-1",
            "set-cookie": "private",
            "retry-after": "3",
        },
    )
    assert (reply.outcome, reply.status) == (Outcome.DELIVERED, Status.OK)
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("42", "hm", "tool_calls")
    assert json.loads(reply.tool_calls_json or "") == message["tool_calls"]
    assert json.loads(reply.annotations_json or "") == message["annotations"]
    assert json.loads(reply.audio_json or "") == {"id": "a", "transcript": "t", "expires_at": 5}
    assert json.loads(reply.logprobs_json or "") == logprobs
    assert reply.choices_json is None
    assert (reply.response_model, reply.system_fingerprint) == ("m-1", "fp")
    assert (reply.service_tier, reply.response_id) == ("flex", "c")
    assert reply.response_created == 1700000000
    assert reply.usage == Usage(8, 68, 76, 1, 3, 2, 4, 5, 6)
    assert reply.billed_usd == Decimal("0.00124")
    assert (reply.billed_credits, reply.inference_id) == (2480, "inf-1")
    assert reply.response_json == text
    assert reply.response_bytes is None
    assert "set-cookie" not in reply.headers
    assert reply.headers["retry-after"] == "3"
    assert (reply.headers_s, reply.latency_s, reply.ttft_s) == (0.005, 9.0, None)


@pytest.mark.parametrize(
    ("message", "finish", "status", "text"),
    [
        ({"content": "x"}, "stop", Status.OK, "x"),
        ({"content": "x"}, None, Status.OK, "x"),
        ({"content": ""}, "stop", Status.EMPTY, ""),
        ({"content": None}, "stop", Status.EMPTY, None),
        ({}, "stop", Status.EMPTY, None),
        ({"content": "x"}, "length", Status.TRUNCATED, "x"),
        ({"content": ""}, "length", Status.TRUNCATED, ""),
        ({"content": "x"}, "content_filter", Status.REFUSED, "x"),
        ({"content": None, "refusal": "no"}, "stop", Status.REFUSED, None),
        ({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls", Status.OK, None),
        ({"content": None, "function_call": {"name": "f"}}, "function_call", Status.OK, None),
        ({"content": [{"type": "text", "text": "a"}, "b"]}, "stop", Status.OK, "ab"),
    ],
)
def test_status(message: Any, finish: Any, status: Status, text: str | None) -> None:
    """What was delivered has the status of its content; none of these is an error."""
    reply = said(answer(message, finish))
    assert (reply.outcome, reply.status, reply.text) == (Outcome.DELIVERED, status, text)


@pytest.mark.parametrize("bad", ["x", None, True, -1, 1.5, 2**53, 10**400, [], {}])
def test_wrong_numbers_are_unknown(bad: Any) -> None:
    """A wrong count is null; the counts beside it and the answer stay."""
    reply = said(answer(usage={"prompt_tokens": bad, "completion_tokens": 3}, created=bad, id=bad))
    assert reply.usage == Usage(completion_tokens=3)
    assert reply.response_created is None
    assert (reply.status, reply.text) == (Status.OK, "Hi")


@pytest.mark.parametrize("usage", [None, [], "x", 3])
def test_usage_of_another_type(usage: Any) -> None:
    """A usage that is no object is unknown; the answer stays."""
    reply = said(answer(usage=usage))
    assert (reply.status, reply.usage) == (Status.OK, Usage())


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999", b"9" * 5000])
def test_numbers_json_does_not_have(number: bytes) -> None:
    """NaN, infinity and endless digits cost one field, not the answer; the bytes are kept."""
    body = (
        json.dumps(answer(usage={"prompt_tokens": 0}))
        .encode()
        .replace(b": 0}", b": " + number + b"}")
    )
    reply = said(body)
    assert (reply.outcome, reply.status, reply.text) == (Outcome.DELIVERED, Status.OK, "Hi")
    assert reply.usage == Usage()
    assert reply.response_bytes == body
    assert not reply.text_sanitized
    json.loads(reply.response_json or "", parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb'"a\ud800b"', "a�b"),
        (b'"a\xff\xc3b"', "a��b"),
        (b'"a\xed\xa0\x80b"', "a���b"),
    ],
)
def test_texts_that_are_no_unicode(raw: bytes, text: str) -> None:
    """Lone surrogates and invalid UTF-8 are replaced, said so, and kept as bytes."""
    body = json.dumps(answer({"content": "@"})).encode().replace(b'"@"', raw)
    reply = said(body)
    assert (reply.status, reply.text) == (Status.OK, text)
    assert reply.text_sanitized
    assert reply.response_bytes == body
    msgspec.json.encode(reply)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", ErrorKind.NOT_JSON),
        (b"<html><body>Welcome</body></html>", ErrorKind.NOT_JSON),
        (ANSWER[:-20], ErrorKind.NOT_JSON),
        (b"[1]", ErrorKind.NOT_JSON),
        (b"[" * 100_000, ErrorKind.NOT_JSON),
        (b'{"a":' * 100_000, ErrorKind.NOT_JSON),
        (b"{}", ErrorKind.BAD_RESPONSE),
        (b'{"choices":[]}', ErrorKind.BAD_RESPONSE),
        (b'{"choices":{}}', ErrorKind.BAD_RESPONSE),
        (b'{"choices":[1]}', ErrorKind.BAD_RESPONSE),
        (b'{"choices":[{}]}', ErrorKind.BAD_RESPONSE),
        (b'{"choices":[{"message":"hi"}]}', ErrorKind.BAD_RESPONSE),
        (b'{"choices":[{"message":{"content":5}}]}', ErrorKind.BAD_RESPONSE),
        (b'{"error":{"message":"oops"}}', ErrorKind.BAD_RESPONSE),
        (
            b'{"choices":[{"message":{"content":""},"finish_reason":"error"}]}',
            ErrorKind.BAD_RESPONSE,
        ),
    ],
)
def test_no_answer_in_a_200(body: bytes, kind: ErrorKind) -> None:
    """A 200 without an answer is an error in doubt, never a text; what came is kept."""
    reply = said(body)
    assert (reply.outcome, reply.status, reply.error_kind) == (Outcome.IN_DOUBT, Status.ERROR, kind)
    assert reply.text is None
    kept = (reply.response_json or "").encode() or reply.response_bytes or b""
    assert body.startswith(kept)
    assert kept or not body


@pytest.mark.parametrize(
    ("status", "body", "profile", "kind", "outcome"),
    [
        (400, "{}", {}, ErrorKind.BAD_REQUEST, Outcome.REJECTED),
        (
            400,
            '{"code":"Arrearage","message":"Access denied"}',
            {},
            ErrorKind.OUT_OF_CREDIT,
            Outcome.REJECTED,
        ),
        (401, "", {}, ErrorKind.UNAUTHORIZED, Outcome.REJECTED),
        (402, "", {}, ErrorKind.OUT_OF_CREDIT, Outcome.REJECTED),
        (403, '{"message":"not allowed"}', {}, ErrorKind.FORBIDDEN, Outcome.REJECTED),
        (
            403,
            '{"statusCode":"403","message":"You\'ve run out of credits."}',
            {},
            ErrorKind.OUT_OF_CREDIT,
            Outcome.REJECTED,
        ),
        (
            403,
            '{"message":"Konto leer"}',
            {"fatal_codes": ["konto leer"]},
            ErrorKind.OUT_OF_CREDIT,
            Outcome.REJECTED,
        ),
        (404, "<html>no</html>", {}, ErrorKind.NOT_FOUND, Outcome.REJECTED),
        (408, "", {}, ErrorKind.UNAVAILABLE, Outcome.REJECTED),
        (409, "", {}, ErrorKind.CONFLICT, Outcome.REJECTED),
        (413, "", {}, ErrorKind.BAD_REQUEST, Outcome.REJECTED),
        (418, "", {}, ErrorKind.HTTP_OTHER, Outcome.REJECTED),
        (422, '{"detail":[{"msg":"field required"}]}', {}, ErrorKind.BAD_REQUEST, Outcome.REJECTED),
        (429, '{"error":{"code":"x"}}', {}, ErrorKind.RATE_LIMITED, Outcome.REJECTED),
        (429, '{"error":{"code":"insufficient_quota"}}', {}, ErrorKind.QUOTA, Outcome.REJECTED),
        (
            429,
            '{"error":{"type":"insufficient_quota"}}',
            {"quota_is_money": True},
            ErrorKind.OUT_OF_CREDIT,
            Outcome.REJECTED,
        ),
        (500, "", {}, ErrorKind.SERVER_ERROR, Outcome.IN_DOUBT),
        (500, "", {"failed_calls_billed": False}, ErrorKind.SERVER_ERROR, Outcome.REJECTED),
        (502, "", {"failed_calls_billed": True}, ErrorKind.SERVER_ERROR, Outcome.IN_DOUBT),
        (504, "", {}, ErrorKind.SERVER_ERROR, Outcome.IN_DOUBT),
        (522, "", {}, ErrorKind.SERVER_ERROR, Outcome.IN_DOUBT),
        (503, "", {}, ErrorKind.UNAVAILABLE, Outcome.REJECTED),
        (529, "", {}, ErrorKind.UNAVAILABLE, Outcome.REJECTED),
        (307, "", {}, ErrorKind.REDIRECT, Outcome.REJECTED),
        (999, "", {}, ErrorKind.HTTP_OTHER, Outcome.IN_DOUBT),
    ],
)
def test_retry_table(
    status: int, body: str, profile: dict[str, Any], kind: ErrorKind, outcome: Outcome
) -> None:
    """Each status has the kind and billing class of the retry table."""
    seen = exchange(body.encode(), status=status)
    reply = interpret(seen, streamed=False, profile=Profile(**profile))
    assert (reply.error_kind, reply.outcome, reply.status) == (kind, outcome, Status.ERROR)
    assert reply.http_status == status
    assert reply.text is None


def test_status_beats_a_broken_body() -> None:
    """A 429 whose body was compressed, cut or too large is still a 429."""
    for failure in (ErrorKind.BAD_ENCODING, ErrorKind.CONNECTION_LOST, ErrorKind.TOO_LARGE):
        reply = interpret(exchange(b"\x1f", status=429, failure=failure), streamed=True)
        assert reply.error_kind is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "m", "type": "t", "code": None}}, "m", "t"),
        ({"error": {"message": "m", "code": 402}}, "m", "402"),
        ({"error": "plain"}, "plain", None),
        ({"type": "about:blank", "title": "T", "status": 403, "detail": "D"}, "D", None),
        ({"type": "about:blank", "status": 403, "detail": "D", "code": "c"}, "D", "c"),
        ({"type": "https://e.org/quota", "status": 403, "detail": "D"}, "D", "https://e.org/quota"),
        ({"requestId": "r", "statusCode": "404", "message": "m", "path": "/"}, "m", "404"),
        ([{"error": {"message": "m", "status": "INVALID"}}], "m", "INVALID"),
        ("<html><style>p{}</style><h1>Bad\n gateway</h1></html>", "a page: Bad gateway", None),
    ],
)
def test_error_envelopes(body: Any, message: str, code: str | None) -> None:
    """The message and code are found in every known envelope, on one line."""
    data = body if isinstance(body, str) else json.dumps(body)
    reply = interpret(exchange(data.encode(), status=404), streamed=False)
    assert (reply.error_message, reply.error_code) == (f"HTTP 404: {message}", code)


@pytest.mark.parametrize(
    "location", ["https://evil.example/x?k=1", "http://[bad", "//host:99999/", "", "http://u:p@h/"]
)
def test_redirect_names_only_the_host(location: str) -> None:
    """The target's host is named; its path and user are not in the message."""
    reply = interpret(exchange(b"", status=302, headers={"location": location}), streamed=False)
    assert reply.error_kind is ErrorKind.REDIRECT
    assert "k=1" not in (reply.error_message or "")
    assert "u:p" not in (reply.error_message or "")
    assert ("https://evil.example" in (reply.error_message or "")) == ("evil" in location)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_exchange_without_response(kind: ErrorKind) -> None:
    """A failure before any response is not sent or in doubt, and says nothing of times."""
    lost = Exchange(sent_at_ns=5, failure=kind, message="why", latency_s=1.0)
    reply = interpret(lost, streamed=True)
    before = kind.value in ("dns", "connect", "connect_timeout", "tls", "pool_timeout", "bad_url")
    assert reply.outcome is (Outcome.NOT_SENT if before else Outcome.IN_DOUBT)
    assert (reply.error_kind, reply.error_message) == (kind, "why")
    assert (reply.sent_at_ns is None) == before
    assert reply.latency_s is None
    unreached = msgspec.structs.replace(lost, reached=False)
    assert interpret(unreached, streamed=True).outcome is Outcome.NOT_SENT


def test_billing_in_the_body() -> None:
    """meta.usage of the body (or last chunk) is the cost where no header stated one."""
    meta = {"usage": {"usd_spent": "0.5", "credits_used": 7}}
    for reply in (
        said(answer(meta=meta)),
        said(sse(delta({"content": "x"}, "stop"), {"choices": [], "meta": meta})),
    ):
        assert (reply.billed_usd, reply.billed_credits) == (Decimal("0.5"), 7)


@pytest.mark.parametrize("cost", ["", "x", "NaN", "-1", "1e400", "1_0", "١", "9" * 30])
def test_cost_that_is_no_amount(cost: str) -> None:
    """A cost that is no finite, reasonable amount is unknown."""
    reply = said(ANSWER, headers={"x-aimlapi-usd-spent": cost, "x-aimlapi-credits-used": cost[:20]})
    assert reply.billed_usd is None
    assert reply.status is Status.OK


def test_all_choices_are_kept() -> None:
    """With several choices the text is of choice 0 and all of them are in choices_json."""
    body = answer()
    body["choices"].insert(0, {"index": 1, "message": {"content": "B"}, "finish_reason": "stop"})
    reply = said(body)
    assert reply.text == "Hi"
    assert json.loads(reply.choices_json or "") == body["choices"]


STREAM = sse(
    delta({"role": "assistant", "content": ""}),
    delta({"reasoning_content": "h"}),
    delta({"reasoning_content": "m"}, system_fingerprint="fp"),
    delta({"content": "Grüße "}),
    delta({"content": "🙂"}),
    delta(
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "t",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                }
            ]
        }
    ),
    delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
    delta({"tool_calls": [{"index": 1, "id": "u", "function": {"name": "g", "arguments": "{}"}}]}),
    delta({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}, odd={"kept": 1}),
    delta({"content": "B"}, "stop", index=1),
    delta({}, "tool_calls"),
    {"choices": [], "usage": USAGE, "service_tier": "default"},
)


def test_stream_is_merged() -> None:
    """Deltas of text, reasoning and indexed tool calls, two choices, and the usage-only chunk."""
    reply = said(STREAM, streamed=True)
    assert (reply.outcome, reply.status) == (Outcome.DELIVERED, Status.OK)
    assert (reply.text, reply.reasoning) == ("Grüße 🙂", "hm")
    calls = json.loads(reply.tool_calls_json or "")
    assert [call["function"] for call in calls] == [
        {"name": "f", "arguments": '{"a":1}'},
        {"name": "g", "arguments": "{}"},
    ]
    assert [call["id"] for call in calls] == ["t", "u"]
    choices = json.loads(reply.choices_json or "")
    assert [choice["finish_reason"] for choice in choices] == ["tool_calls", "stop"]
    assert choices[1]["message"] == {"content": "B"}
    whole = json.loads(reply.response_json or "")
    assert (whole["object"], whole["odd"]) == ("chat.completion", {"kept": 1})
    assert reply.usage.total_tokens == 76
    assert (reply.system_fingerprint, reply.service_tier) == ("fp", "default")


def untimed(reply: Reply) -> Reply:
    """The reply without what depends on when bytes came."""
    return msgspec.structs.replace(
        reply, ttft_s=None, ttfo_s=None, ttfr_s=None, last_content_s=None, last_reasoning_s=None,
        chunk_times_s=None, latency_s=None,
    )  # fmt: skip


cut_lists = st.lists(st.integers(0, 5000), max_size=30)


@given(cuts=cut_lists, end=st.sampled_from(["\n", "\r", "\r\n"]))
@example(cuts=list(range(len(STREAM))), end="\r\n")
def test_chunking_does_not_matter(cuts: list[int], end: str) -> None:
    """Any cuts (also inside a character) and any line ends give the same reply."""
    stream = STREAM.replace(b"\n", end.encode())
    assert untimed(interpret(exchange(stream, cuts), streamed=True)) == untimed(
        said(STREAM, streamed=True)
    )


def test_stream_times() -> None:
    """Time to first token counts reasoning, not the role; usage is no content."""
    events = [event + b"\n\n" for event in STREAM.split(b"\n\n") if event]
    seen = exchange(
        STREAM, chunks=events, times_ns=[1_000_000_000 * (n + 1) for n in range(len(events))]
    )
    reply = interpret(seen, streamed=True, keep_chunk_times=True)
    assert (reply.ttft_s, reply.ttfo_s, reply.last_content_s) == (2.0, 4.0, 10.0)
    assert (reply.ttfr_s, reply.last_reasoning_s) == (2.0, 3.0)
    assert reply.chunk_times_s == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    assert interpret(seen, streamed=True).chunk_times_s is None


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b"", ErrorKind.STREAM_CUT),
        (b": ping\n\n", ErrorKind.STREAM_CUT),
        (sse(delta({"content": "par"}), done=False), ErrorKind.STREAM_CUT),
        (sse(delta({"content": "par"})), ErrorKind.STREAM_CUT),
        (sse(), ErrorKind.STREAM_CUT),
        (
            sse(delta({"content": "a"}, "stop"), delta({"content": "b"}, index=1)),
            ErrorKind.STREAM_CUT,
        ),
        (sse(delta({"content": "a"}, "stop"), done=False)[:-1], ErrorKind.STREAM_CUT),
        (sse(delta({"content": "a"}), {"error": {"message": "m"}}), ErrorKind.STREAM_ERROR),
        (sse(delta({"content": "a"}, "stop"), {"error": "m"}), ErrorKind.STREAM_ERROR),
        (sse(delta({"content": "a"})) + b"event: error\ndata: oops\n\n", ErrorKind.STREAM_CUT),
        (b"event: error\ndata: oops\n\n", ErrorKind.STREAM_ERROR),
        (sse(delta({"content": "a"}), '{"broken'), ErrorKind.BAD_RESPONSE),
        (sse(delta({"content": "a"}), "[1]"), ErrorKind.BAD_RESPONSE),
        (sse(delta({"content": "a"}, "error")), ErrorKind.BAD_RESPONSE),
        (b"data: " + b"x" * 9_000_000, ErrorKind.BAD_RESPONSE),
    ],
)
def test_stream_that_is_no_answer(stream: bytes, kind: ErrorKind) -> None:
    """A stream cut, broken or with an error is never ok; the partial text is no text."""
    reply = said(stream, streamed=True)
    assert (reply.outcome, reply.status, reply.error_kind) == (Outcome.IN_DOUBT, Status.ERROR, kind)
    assert reply.text is None
    if b'"content": "par"' in stream:
        assert json.loads(reply.response_json or "")["choices"][0]["message"]["content"] == "par"


def test_stream_error_before_content_may_be_a_refusal() -> None:
    """An error object in place of the answer keeps its own meaning: rejected, out of credit."""
    reply = said(sse({"error": {"code": 429, "message": "slow down"}}), streamed=True)
    assert (reply.error_kind, reply.outcome) == (ErrorKind.RATE_LIMITED, Outcome.REJECTED)
    reply = said({"error": {"code": 402, "message": "no credits"}})
    assert (reply.error_kind, reply.outcome) == (ErrorKind.OUT_OF_CREDIT, Outcome.REJECTED)


@pytest.mark.parametrize("failure", [None, ErrorKind.CONNECTION_LOST, ErrorKind.STALL_TIMEOUT])
def test_done_is_not_needed(failure: ErrorKind | None) -> None:
    """After a finish_reason nothing more is needed: the answer was paid for and is kept."""
    stream = sse(delta({"content": "x"}), delta({}, "stop"), done=False)
    reply = said(stream, streamed=True, failure=failure)
    assert (reply.outcome, reply.status, reply.text) == (Outcome.DELIVERED, Status.OK, "x")
    assert reply.latency_s == (9.0 if failure is None else 0.01)


@pytest.mark.parametrize(
    "failure", [ErrorKind.CONNECTION_LOST, ErrorKind.STALL_TIMEOUT, ErrorKind.TOTAL_TIMEOUT]
)
def test_failure_before_the_end(failure: ErrorKind) -> None:
    """A stream or JSON body that broke off has the failure's own kind."""
    for body in (sse(delta({"content": "x"}), done=False), ANSWER[:-5], b""):
        reply = said(body, streamed=True, failure=failure)
        assert (reply.error_kind, reply.outcome) == (failure, Outcome.IN_DOUBT)
        assert reply.text is None
    whole = said(ANSWER, failure=failure)
    assert (whole.outcome, whole.text) == (Outcome.DELIVERED, "Hi")


def test_either_form_to_either_request() -> None:
    """JSON to a streamed request and a stream to a plain one are read as what they are."""
    for blank in (b"", b"\n\n \r\n", b"\xef\xbb\xbf", b"\n" * 5000):
        assert said(blank + ANSWER, streamed=True).text == "Hi"
        assert said(blank + sse(delta({"content": "Hi"}, "stop"))).text == "Hi"


def test_surrogate_pair_split_over_two_deltas() -> None:
    """A character whose halves come in two deltas is one character, nothing is replaced."""
    stream = rb'data: {"choices":[{"delta":{"content":"\ud83d"}}]}' + b"\n\n"
    stream += (
        rb'data: {"choices":[{"delta":{"content":"\ude42"},"finish_reason":"stop"}]}' + b"\n\n"
    )
    reply = said(stream, streamed=True)
    assert (reply.text, reply.text_sanitized) == ("🙂", False)
    assert reply.response_bytes == stream
    lone = said(stream.replace(rb"\ude42", b"x"), streamed=True)
    assert (lone.text, lone.text_sanitized) == ("�x", True)


def test_tool_calls_as_some_servers_send_them() -> None:
    """Calls without an index begin with an id; a name repeated with every piece is one name."""
    stream = sse(
        delta({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]}),
        delta({"tool_calls": [{"function": {"name": "f", "arguments": "}"}}]}),
        delta(
            {"tool_calls": [{"id": "b", "function": {"name": "f", "arguments": "[]"}}]},
            "tool_calls",
        ),
    )
    calls = json.loads(said(stream).tool_calls_json or "")
    assert [call["function"] for call in calls] == [
        {"name": "f", "arguments": "{}"},
        {"name": "f", "arguments": "[]"},
    ]


@pytest.mark.timeout(60)
def test_merging_takes_linear_time() -> None:
    """A hundred thousand pieces of one text are joined once: joining each takes minutes."""
    piece = "x" * 500
    events = [sse(delta({"content": piece}), done=False)] * 100_000 + [sse(delta({}, "stop"))]
    seen = exchange(b"", chunks=events, times_ns=list(range(len(events))))
    reply = interpret(seen, streamed=True)
    assert reply.text == piece * 100_000


KEY = "sk-canary-0123456789abcdefghij"


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize(
    "body",
    [
        json.dumps(answer({"content": f"your key {KEY}", "tool_calls": [{"x": KEY}]}, model=KEY)),
        json.dumps(answer()).replace("Hi", KEY.replace("-", "\\u002d")),
        json.dumps({"error": {"message": f"bad key {KEY}", "code": KEY}}),
        f"<html>{KEY}</html>",
        sse(*[delta({"content": letter}) for letter in KEY], delta({}, "stop")).decode(),
        "x" + KEY + "�" * 3,
    ],
)
def test_the_key_is_nowhere(body: str, status: int) -> None:
    """A server that echoes the key leaves no trace of it in any field."""
    seen = exchange(body.encode(), status=status, headers={"x-request-id": KEY, "via": KEY})
    reply = interpret(seen, streamed=False, redactor=Redactor([Secret(KEY)]))
    stored = msgspec.json.encode(reply).decode() + repr(reply.response_bytes)
    assert KEY not in stored
    assert KEY not in json.dumps(json.loads(reply.response_json or "null"))


pieces = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"data: ", b"\n\n", b"\r\n\r\n", b"[DONE]", b"{", b"}", b"[", b"]", b":", b",", b"null",
            b'"choices":[{"delta":{"content":"a"}}]', b'"choices":[{"message":{"content":"a"}}]',
            b'"finish_reason":"stop"', b'"usage":{"prompt_tokens":-1}', b"NaN", b"\xff",
            rb'"\ud800"',
            b'"content":[{"type":"thinking","thinking":["a"]},"b"]', b'"reasoning_details":[{"text":"a"}]',
            b'"error":{}', b"\xef\xbb\xbf", b'"tool_calls":[{"index":1e9}]', STREAM, ANSWER,
        ]
    ),
)  # fmt: skip
bodies = st.lists(pieces, max_size=12).map(b"".join)
# fmt: off
KEYS = [
    "choices", "message", "delta", "content", "tool_calls", "index", "usage", "logprobs",
    "error", "meta", "audio", "id", "function", "name", "arguments", "finish_reason",
    "role", "model", "refusal", "created", "detail", "type", "text", "thinking", "reasoning",
    "reasoning_details",
]
# fmt: on
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)
json_bodies = json_values.map(lambda value: json.dumps(value).encode())
json_streams = st.lists(json_values, max_size=5).map(
    lambda values: b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
)


@given(
    body=bodies | json_bodies | json_streams,
    cuts=cut_lists,
    status=st.sampled_from([None, 200, 200, 200, 204, 302, 400, 403, 429, 500, 700]),
    failure=st.none() | st.sampled_from(list(ErrorKind)),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "location", "x-aimlapi-usd-spent", "x-inference-id"]),
        st.text(max_size=20),
    ),
    streamed=st.booleans(),
    n=st.sampled_from([None, 1, 2]),
)
def test_any_bytes_give_one_reply(
    body: bytes,
    cuts: list[int],
    status: int | None,
    failure: Any,
    headers: Any,
    streamed: bool,
    n: int | None,
) -> None:
    """Any bytes in any chunking: the same single reply, storable, and no last resort used."""
    fields = {"status": status, "failure": failure, "headers": headers}
    whole = interpret(exchange(body, **fields), streamed=streamed, n=n)
    pieces = interpret(exchange(body, cuts, **fields), streamed=streamed, n=n)
    assert untimed(pieces) == untimed(whole)
    assert not (whole.error_message or "").startswith("could not be read")
    assert (whole.status is Status.ERROR) == (whole.outcome is not Outcome.DELIVERED)
    assert (whole.status is Status.ERROR) == (whole.error_kind is not None)
    assert whole.status is not Status.ERROR or whole.text is None
    if whole.response_json is not None:
        json.loads(whole.response_json, parse_constant=pytest.fail)
    stored = msgspec.msgpack.encode(whole)  # valid Unicode, whole numbers of at most 64 bits
    assert msgspec.msgpack.decode(stored, type=Reply) == whole


def test_a_bug_in_here_does_not_lose_an_answer() -> None:
    """Should reading fail in a way nobody foresaw, one reply in doubt keeps the bytes."""

    class Broken(Redactor):
        def redact(self, text: str) -> str:
            raise RuntimeError

    reply = interpret(exchange(ANSWER), streamed=False, redactor=Broken([]))
    assert (reply.outcome, reply.error_kind) == (Outcome.IN_DOUBT, ErrorKind.BAD_RESPONSE)
    assert reply.response_bytes == ANSWER
