"""Event streams as bytes: the common form, and every other form the standard allows."""

from __future__ import annotations

import msgspec

from evalharness.emulator.faults import Fault

DONE = b"data: [DONE]\n\n"
_ERROR = msgspec.json.encode(
    {"error": {"message": "The model stopped unexpectedly.", "type": "server_error", "code": 500}}
)


class Framing:
    """Turns events into bytes, in the form a fault asks for."""

    def __init__(self, fault: Fault | None) -> None:
        self._form = fault.name if fault is not None and fault.name.startswith("sse_") else ""
        self._first = True

    def frame(self, event: bytes) -> bytes:
        """One event, with the blank line that ends it."""
        if not self._form:
            return b"data: " + event + b"\n\n"
        if self._form == "sse_multiline":
            # A line break between two members of the object is blank space to JSON.
            head, _, rest = event.partition(b",")
            framed = b"data: " + head + b",\ndata: " + rest + b"\n\n"
        else:
            framed = b"data: " + event + b"\n\n"
        if self._form == "sse_comments":
            framed = b": keep-alive\n\n" + b"event: message\nid: 1\nretry: 10\n" + framed
        return self._first_bytes() + self.lines(framed)

    def lines(self, framed: bytes) -> bytes:
        """The same lines with the line ends in use."""
        ends = {"sse_cr": b"\r", "sse_crlf": b"\r\n"}
        return framed.replace(b"\n", ends.get(self._form, b"\n"))

    def _first_bytes(self) -> bytes:
        first, self._first = self._first, False
        return b"\xef\xbb\xbf" if first and self._form == "sse_bom" else b""


def closing_frames(fault: Fault | None, events: list[bytes], framing: Framing) -> list[bytes]:
    """The last frames of a stream, ``[DONE]`` included, changed by a fault."""
    name = "" if fault is None else fault.name
    if name == "no_finish":
        return []
    frames = [framing.frame(event) for event in events]
    return frames if name == "no_done" else [*frames, framing.lines(DONE)]


def break_off_at_fault(
    fault: Fault | None, steps: list[list[bytes]]
) -> tuple[list[list[bytes]], bytes | None]:
    """The steps that are still sent whole, and the last bytes of a stream that breaks off.

    None for the last bytes means that the stream goes on to its end.
    """
    if fault is None or fault.name not in ("stream_error", "cut_utf8"):
        return steps, None
    first_half = steps[: (len(steps) + 1) // 2]
    if fault.name == "stream_error":
        return first_half, b"data: " + _ERROR + b"\n\n"
    # The first three of the four bytes of a character.
    return first_half, b'data: {"choices":[{"index":0,"delta":{"content":"' + "🙂".encode()[:3]
