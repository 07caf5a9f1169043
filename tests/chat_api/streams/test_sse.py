"""The event decoder against the standard's own wording."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.chat_api.streams.sse import EventTooLongError, SseDecoder, SseEvent

TOKENS = [b"\r", b"\n", b"\r\n", b"data:", b"data: ", b"data", b":", b" ", b"event:", b"id:", b"x"]
streams = st.builds(
    lambda bom, parts: b"".join([bom, *parts]),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"]),
    st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=4)), max_size=40),
)


def decode(stream: bytes, cuts: list[int]) -> list[SseEvent]:
    """Decode a stream handed over in pieces."""
    decoder = SseDecoder()
    events: list[SseEvent] = []
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(places):
        events += decoder.feed(stream[start:end])
    return events


def by_the_book(stream: bytes) -> list[SseEvent]:
    """The standard's algorithm, one character at a time over the whole stream."""
    text = stream.decode("latin-1").removeprefix("\xef\xbb\xbf")
    lines, line, skip_lf = [], "", False
    for character in text:
        if skip_lf and character == "\n":
            skip_lf = False
            continue
        skip_lf = character == "\r"
        if character in "\r\n":
            lines.append(line)
            line = ""
        else:
            line += character
    events, data, kind = [], "", ""
    for line in lines:
        if line == "":
            if data != "":
                body = data[:-1].encode("latin-1")
                events.append(SseEvent(body, (kind or "message").encode("latin-1")))
            data, kind = "", ""
        elif line.startswith(":"):
            continue
        else:
            name, colon, value = line.partition(":")
            if colon and value.startswith(" "):
                value = value[1:]
            if name == "data":
                data += value + "\n"
            elif name == "event":
                kind = value
    return events


@given(stream=streams, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_chunking_gives_the_standard_events(stream: bytes, cuts: list[int]) -> None:
    """Whatever the pieces, the events are those of the standard's algorithm on the whole."""
    assert decode(stream, cuts) == by_the_book(stream)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_byte_by_byte(end: bytes) -> None:
    """BOM, comments, several data lines, one dropped space, each line end: one byte at a time."""
    lines = [
        b"\xef\xbb\xbf: hello",
        b"event: a",
        b"data:  x",
        b"data",
        b"data:y",
        b"",
        b"data: cut",
    ]
    stream = end.join(lines)
    assert decode(stream, list(range(len(stream)))) == [SseEvent(b" x\n\ny", b"a")]


@pytest.mark.parametrize("piece", [b"data: xxxxxxxx", b"data:\n", b"data: x\n"])
def test_memory_is_bounded(piece: bytes) -> None:
    """A line or an event without end is refused at the limit."""
    decoder = SseDecoder(limit=1000)

    def endless() -> None:
        for _ in range(2000):
            decoder.feed(piece)

    with pytest.raises(EventTooLongError):
        endless()
