"""Reading only the text of events that differ in nothing else gives what reading them whole gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalharness.records import Reply
from evalharness.wire.alike import Alike
from evalharness.wire.response import interpret
from evalharness.wire.transport.exchange import Exchange

texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(['"content":"x"', '\\"', "\\", "🙂", "\ud83d", "\ude42", ""]),
)
deltas = st.fixed_dictionaries(
    {"content": st.one_of(texts, st.none(), st.just([{"text": "t"}]))},
    optional={
        "role": st.sampled_from(["assistant", None, 1]),
        "reasoning_content": st.sampled_from([None, "hm"]),
        "refusal": st.sampled_from([None, "", "no"]),
        "tool_calls": st.just([{"index": 0, "function": {"arguments": "{"}}]),
        "name": st.just("n"),
    },
)
choices = st.fixed_dictionaries(
    {"index": st.sampled_from([0, 0, 0, 1]), "delta": deltas},
    optional={
        "finish_reason": st.sampled_from([None, "stop"]),
        "logprobs": st.sampled_from([None, {"content": [{"token": "a"}]}, {"refusal": [1]}]),
        "message": st.just({"content": "whole"}),
        "odd": st.sampled_from([None, 1, [1]]),
    },
)
chunks = st.fixed_dictionaries(
    {"choices": st.lists(choices, min_size=1, max_size=2)},
    optional={
        "id": st.sampled_from(["c", "d"]),
        "usage": st.sampled_from([None, {"prompt_tokens": 1}]),
        "content": st.just("elsewhere"),
    },
)


def said(chunk: dict[str, Any], text: str) -> dict[str, Any]:
    """The same chunk with another text in every delta that has one."""
    copy = json.loads(json.dumps(chunk))
    for choice in copy["choices"]:
        if isinstance(choice["delta"]["content"], str):
            choice["delta"]["content"] = text
    return copy


def read(events: list[bytes]) -> Reply:
    """What a stream of these events is."""
    stream = [b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"]]
    return interpret(
        Exchange(
            sent_at_ns=1, status=200, headers={"content-type": "text/event-stream"},
            chunks=stream, times_ns=list(range(1, len(stream) + 1)), latency_s=1.0,
        ),
        streamed=True, keep_chunk_times=True,
    )  # fmt: skip


@given(
    runs=st.lists(st.tuples(chunks, st.lists(texts, max_size=4)), max_size=4),
    spaced=st.booleans(),
    ascii_only=st.booleans(),
)
@example(runs=[({"choices": [{"index": 0, "delta": {"content": "a"}}]}, ["b"])], spaced=True,
         ascii_only=True)  # fmt: skip
def test_the_short_way_reads_the_same(
    runs: list[tuple[dict[str, Any], list[str]]], spaced: bool, ascii_only: bool
) -> None:
    """Whatever repeats around the texts, and whatever the texts are."""
    separators = (", ", ": ") if spaced else (",", ":")
    events = [
        json.dumps(document, separators=separators, ensure_ascii=ascii_only).encode(
            "utf-8", "surrogatepass"
        )
        for chunk, more in runs
        for document in [chunk, *(said(chunk, text) for text in more)]
    ]
    short = read(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Alike, "of", lambda data, chunk, raw: None)
        assert short == read(events)


def test_the_short_way_is_taken() -> None:
    """A usual chunk allows it, also around a text of escapes and of the key's own name."""
    document = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": None}]}
    data = json.dumps(document).encode()
    alike = Alike.of(data, document)
    assert alike is not None
    text = 'the "content": "x" \\ 🙂'
    assert alike.text(json.dumps(said(document, text)).encode()) == text
    assert alike.text(json.dumps(document | {"id": "d"}).encode()) == ""
    assert alike.text(data[:-3]) == ""


@pytest.mark.parametrize(
    "raw",
    [
        b'{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[]}}]}',
        b'{"choices":[{"delta":{"content":"a"},"logprobs":{"refusal":[1]}}]}',
        b'{"choices":[{"delta":{"content":"a","tool_calls":[]}}]}',
        b'{"choices":[{"delta":{"cont\\u0065nt":"a"}}],"x":{"content":"a"}}',
        b'{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}',
        b'{"choices":[{"delta":{"content":"a"},"delta":{"content":"b"}}]}',
        b'{"choices":[{"delta":{"role":"assistant","content":""}}]}',
    ],
)
def test_what_merging_again_would_change_is_read_whole(raw: bytes) -> None:
    """Lists grow, other texts grow, and a key that is spelled twice is nobody's."""
    assert Alike.of(raw, json.loads(raw)) is None
