"""Event streams as bytes: the common form, and every other form the standard allows."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.emulator.faults import Fault

# Four bytes of UTF-8, of which a fault sends three.
CUT_CHARACTER = "🙂"


class StreamEvent(NamedTuple):
    """One event: its data, and its name where the protocol names events."""

    data: bytes
    name: bytes = b""


class Framing:
    """Turns events into bytes, in the form a fault asks for."""

    def __init__(self, fault: Fault | None) -> None:
        self._form = fault.name if fault is not None and fault.name.startswith("sse_") else ""
        self._first = True

    def frame(self, event: StreamEvent) -> bytes:
        """One event, with the blank line that ends it."""
        name = b"event: " + event.name + b"\n" if event.name else b""
        if not self._form:
            return name + b"data: " + event.data + b"\n\n"
        if self._form == "sse_multiline":
            # A line break between two members of the object is blank space to JSON.
            head, _, rest = event.data.partition(b",")
            framed = name + b"data: " + head + b",\ndata: " + rest + b"\n\n"
        else:
            framed = name + b"data: " + event.data + b"\n\n"
        if self._form == "sse_comments":
            extra = b"" if name else b"event: message\n"
            framed = b": keep-alive\n\n" + extra + b"id: 1\nretry: 10\n" + framed
        return self._first_bytes() + self._lines(framed)

    def last_frame(self, event: StreamEvent) -> bytes:
        """The event that only says that a stream is over: never split, never commented."""
        name = b"event: " + event.name + b"\n" if event.name else b""
        return self._lines(name + b"data: " + event.data + b"\n\n")

    def _lines(self, framed: bytes) -> bytes:
        """The same lines with the line ends in use."""
        ends = {"sse_cr": b"\r", "sse_crlf": b"\r\n"}
        return framed.replace(b"\n", ends.get(self._form, b"\n"))

    def _first_bytes(self) -> bytes:
        first, self._first = self._first, False
        return b"\xef\xbb\xbf" if first and self._form == "sse_bom" else b""


def cut_frame(event: StreamEvent) -> bytes:
    """The frame of an event that holds :data:`CUT_CHARACTER`, up to the middle of it."""
    frame = Framing(None).frame(event)
    return frame[: frame.index(CUT_CHARACTER.encode()) + 3]
