"""The typed decoder says of every body what the forgiving reader says, or leaves it to that one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.response import _read_json  # pyright: ignore[reportPrivateUsage]
from evalharness.chat_api.response_fast_path import read_fast_path
from evalharness.http.exchange import Exchange
from evalharness.records import Outcome, Reply, Status

odd = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**54), st.sampled_from([12.0, 1.5, "", "7", [], {}]),
    st.text(max_size=6), st.lists(st.integers(0, 3), max_size=2), st.just({"content": "x"}),
)  # fmt: skip


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The documented type, now and then another one."""
    return st.one_of(usual, usual, usual, odd)


text = st.text(max_size=12)
count = st.integers(0, 5000)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of these fields, and now and then one nobody knows."""
    extra = {"unknown": odd}
    return st.fixed_dictionaries({}, optional={k: mostly(v) for k, v in fields.items()} | extra)


message = some(
    role=st.just("assistant"), content=text, refusal=st.none() | text, reasoning=text,
    reasoning_content=text, reasoning_text=text, thinking=text, reasoning_details=st.just([]),
    thinking_blocks=st.just([]), tool_calls=st.just([]), annotations=st.just([]), audio=st.none(),
    function_call=st.none(),
)  # fmt: skip
choice = some(
    index=st.just(0), message=message, logprobs=st.none(),
    finish_reason=st.sampled_from([
        "stop", "length", "content_filter", "error", "tool_calls", "", "MAX_TOKENS", "Abort",
        "model_length", "SAFETY", "insufficient_system_resource", "weary",
    ]),
)  # fmt: skip
usage = some(
    prompt_tokens=count, completion_tokens=count, total_tokens=count,
    prompt_tokens_details=some(cached_tokens=count, audio_tokens=count),
    completion_tokens_details=some(
        reasoning_tokens=count, audio_tokens=count, accepted_prediction_tokens=count
    ),
)  # fmt: skip
completion = some(
    id=text, created=count, model=text, system_fingerprint=text, service_tier=text, usage=usage,
    choices=st.lists(choice, min_size=1, max_size=1), error=st.none(),
    meta=some(usage=some(usd_spent=st.sampled_from([0.01, "0.02", 1]), credits_used=count)),
)  # fmt: skip

PLAIN = {
    "id": "a", "object": "chat.completion", "created": 1, "model": "m", "timings": {"n": 1.5},
    "choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "content": "Paris", "refusal": None, "annotations": []}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}  # fmt: skip


def by_both(body: bytes) -> tuple[Reply | None, Reply]:
    """The reply of the typed decoder, None where it declines, and that of the other reader."""
    exchange = Exchange(sent_at_ns=1, status=200, chunks=[body], times_ns=[1], latency_s=1e-9)
    typed = read_fast_path(body)
    forgiving = Reply(**_read_json(exchange, body, None, get_protocol("chat")))
    return None if typed is None else Reply(**typed), forgiving


@given(completion, st.booleans())
@example({"choices": [{"message": {"content": "\ud800"}}]}, True)
@example({"choices": [{"message": {"content": "", "reasoning": ""}}]}, True)
@example({"choices": [{"message": {"content": "é\U0001f600"}}]}, True)
@example({"choices": [{"message": {"reasoning_details": [{"text": "hm"}]}}]}, True)
@example({"choices": [{"message": None, "finish_reason": "length"}], "usage": {}}, True)
def test_both_readers_agree(document: dict[str, Any], ascii_only: bool) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    typed, forgiving = by_both(body)
    assert typed is None or typed == forgiving


def test_the_usual_answer_takes_the_short_way() -> None:
    typed, forgiving = by_both(json.dumps(PLAIN).encode())
    assert typed == forgiving
    assert forgiving.outcome is Outcome.DELIVERED
    assert forgiving.status is Status.OK


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"choices":[]}', b"\xef\xbb\xbf{}", b'{"choices":[{}]}',
        b'{"choices":[{"message":{"content":"\xff"}}]}',
        b'{"choices":[{"message":{"content":"a"}}],"unread":"\xff"}',
        b'{"choices":[{"message":{"content":"a"}}],"unread":"\\ud83d"}',
        b'{"choices":[{"message":{"content":"a"}}],"unread":NaN}',
        b'{"choices":[{"message":{"content":"a"}}],"unread":' + b"[" * 5000 + b"]" * 5000 + b"}",
        json.dumps(PLAIN | {"error": {"message": "no"}}).encode(),
    ],
)  # fmt: skip
def test_what_is_left_to_the_forgiving_reader(body: bytes) -> None:
    assert read_fast_path(body) is None
