"""Reading only the text of events that differ in nothing else gives what reading them whole gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalharness.chat_api.response import interpret
from evalharness.chat_api.streams.stream_fast_path import ChunkTemplate
from evalharness.http.exchange import Exchange
from evalharness.records import Reply

texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(['"content":"x"', '\\"', "\\", "🙂", "\ud83d", "\ude42", ""]),
)
parts = st.sampled_from([
    "t", {"text": "t"}, {"type": "text", "text": "t"}, {"type": "thinking", "thinking": "hm"},
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
    {"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "\ud83d"},
])  # fmt: skip
deltas = st.fixed_dictionaries(
    {"content": st.one_of(texts, texts, st.none(), st.lists(parts, max_size=2))},
    optional={
        "role": st.sampled_from(["assistant", None, 1]),
        "reasoning_content": st.sampled_from([None, "hm"]),
        "refusal": st.sampled_from([None, "", "no"]),
        "reasoning_details": st.just([{"type": "reasoning.text", "text": "hm"}]),
        "tool_calls": st.sampled_from(
            [
                [{"index": 0, "function": {"arguments": "{"}}],
                [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"b": 1}}}],
            ]
        ),
        "name": st.just("n"),
    },
)
choices = st.fixed_dictionaries(
    {"index": st.sampled_from([0, 0, 0, 1]), "delta": deltas},
    optional={
        "finish_reason": st.sampled_from([None, "", "stop", "MAX_TOKENS", "abort"]),
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


def read(events: list[bytes], n: int | None = None) -> Reply:
    """What a stream of these events is."""
    stream = [b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"]]
    return interpret(
        Exchange(
            sent_at_ns=1, status=200, headers={"content-type": "text/event-stream"},
            chunks=stream, times_ns=list(range(1, len(stream) + 1)), latency_s=1.0,
        ),
        streamed=True, n=n, keep_chunk_times=True,
    )  # fmt: skip


@given(
    runs=st.lists(st.tuples(chunks, st.lists(texts, max_size=4)), max_size=4),
    spaced=st.booleans(),
    ascii_only=st.booleans(),
    n=st.sampled_from([None, 1, 2]),
)
@example(runs=[({"choices": [{"index": 0, "delta": {"content": "a"}}]}, ["b"])], spaced=True,
         ascii_only=True, n=None)  # fmt: skip
def test_the_short_way_reads_the_same(
    runs: list[tuple[dict[str, Any], list[str]]], spaced: bool, ascii_only: bool, n: int | None
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
    short = read(events, n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChunkTemplate, "from_chunk", lambda data, chunk, raw: None)
        assert short == read(events, n)


def test_the_short_way_is_taken() -> None:
    """A usual chunk allows it, also around a text of escapes and of the key's own name."""
    document = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": None}]}
    data = json.dumps(document).encode()
    template = ChunkTemplate.from_chunk(data, document)
    assert template is not None
    text = 'the "content": "x" \\ 🙂'
    assert template.read_text(json.dumps(said(document, text)).encode()) == text
    assert template.read_text(json.dumps(document | {"id": "d"}).encode()) == ""
    assert template.read_text(data[:-3]) == ""


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
    assert ChunkTemplate.from_chunk(raw, json.loads(raw)) is None


# ── several events at once ───────────────────────────────────────────────────────────────────

HEAD, TAIL = '{"choices":[{"delta":{"content":', "}}]}"
pieces = st.one_of(
    st.tuples(
        st.sampled_from(["data: ", "data:", "data:  ", "data", "event: error\ndata: ", ": c\n", "",
                         "event: x\n", "\ufeffdata: "]),
        st.sampled_from([HEAD, HEAD + "\n", HEAD + "\r", HEAD + " ", HEAD + "\ndata: ",
                         HEAD[:12] + "\n" + HEAD[12:], HEAD[:12] + "\ndata:" + HEAD[12:]]),
        st.sampled_from(['"a"', '""', '"b\\n"', '"\\ud83d"', '"\\ud83d\\ude42"', '"', "null",
                         '"a\n"', '"\u2028"', '"a","content":"b"']),
        st.sampled_from([TAIL, "\n" + TAIL, "\r\n" + TAIL, " " + TAIL, TAIL + " ",
                         TAIL[:2] + "\ndata: " + TAIL[2:]]),
        st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\n", "\r\n\n", "\n\r", ""]),
    ).map("".join),
    st.sampled_from(["\n", "\r", "\n\n", ": keep-alive\n\n", "event: error\n", "data: [DONE]\n\n"]),
)  # fmt: skip


@given(st.lists(pieces, max_size=3), pieces, st.lists(pieces, max_size=3), st.integers(1, 4))
@example([], f'data: {HEAD}"a"{TAIL}\n\n', [f'data: {HEAD}\n"b"{TAIL}\n\n'], 1)
@example([], f'data: {HEAD}"a"{TAIL}\n\n', [f'data: {HEAD}"b"\r{TAIL}\n\n'], 1)
@example([], f'data: {HEAD[:12]}\ndata: {HEAD[12:]}"a"{TAIL}\n\n',
         [f'data: {HEAD[:12]}\n{HEAD[12:]}"b"{TAIL}\n\n'], 1)  # fmt: skip
def test_a_run_of_events_reads_as_one_after_the_other(
    before: list[str], often: str, after: list[str], times: int
) -> None:
    """Whatever stands in a chunk: other line ends, comments, types, pieces of events."""
    start = f'data: {HEAD}"a"{TAIL}\n\n'
    for first in (start, start.replace("\n", "\r\n"), start.replace("data: ", "data:")):
        chunks = [piece.encode() for piece in (*before, first, *[often] * times, *after) if piece]
        exchange = Exchange(
            sent_at_ns=1, status=200, headers={"content-type": "text/event-stream"},
            chunks=chunks, times_ns=list(range(1, len(chunks) + 1)), latency_s=1.0,
        )  # fmt: skip
        short = interpret(exchange, streamed=True, keep_chunk_times=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ChunkTemplate, "from_chunk", lambda data, chunk, raw: None)
            assert short == interpret(exchange, streamed=True, keep_chunk_times=True)
