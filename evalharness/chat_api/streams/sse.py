"""A decoder of server-sent events: bytes in any chunking → events, by the WHATWG rules.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation: a BOM
is skipped once at the start; lines end in LF, CR or CRLF, which a chunk border may split; a line
starting with a colon is a comment; one space after a field's colon is dropped; several ``data``
lines are joined by LF; a blank line ends an event; an event without its blank line is dropped.
Reconnection (``id``, ``retry``) has no meaning for one POST and is ignored.
"""

from __future__ import annotations

from typing import NamedTuple

from evalharness.chat_api.lenient_json import BOM

MAX_EVENT_BYTES = 8 * 1024 * 1024


class SseEvent(NamedTuple):
    """One event: its data as bytes (not yet known to be UTF-8) and its type."""

    data: bytes
    type: bytes = b"message"


class EventTooLongError(ValueError):
    """A line or an event exceeds the limit; the stream cannot be read on."""


class SseDecoder:
    """Incremental decoder; memory is bounded by ``limit`` bytes a line and an event."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._bom: bytes | None = b""  # what may still become a BOM; None once decided
        self._after_cr = False
        self._partial: list[bytes] = []
        self._partial_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._type = b""

    @property
    def at_event_start(self) -> bool:
        """Whether the next byte begins an event, whatever it is."""
        return not (
            self._partial or self._data or self._type or self._after_cr or self._bom is not None
        )

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next bytes and return the events they complete.

        Raises:
            TooLongError: a line or an event is longer than the limit.
        """
        if self._bom is not None:
            chunk = self._bom + chunk
            if len(chunk) < len(BOM) and BOM.startswith(chunk):
                self._bom = chunk
                return []
            self._bom = None
            chunk = chunk.removeprefix(BOM)
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        if self._is_one_event(chunk):
            return [SseEvent(chunk[5:-2].removeprefix(b" "))]
        self._after_cr = chunk.endswith(b"\r")
        # bytes.splitlines knows exactly LF, CR and CRLF.
        lines = chunk.splitlines()
        rest = b"" if chunk.endswith((b"\n", b"\r")) else lines.pop()
        events: list[SseEvent] = []
        if lines:
            if self._partial:
                lines[0] = b"".join([*self._partial, lines[0]])
                self._partial, self._partial_bytes = [], 0
            for line in lines:
                self._line(line, events)
        if rest:
            self._partial.append(rest)
            self._partial_bytes += len(rest)
            if self._partial_bytes > self._limit:
                raise EventTooLongError(f"a line is longer than {self._limit} bytes")
        return events

    def _is_one_event(self, chunk: bytes) -> bool:
        """Whether a chunk is a single line of data and its end, as servers write nearly all."""
        return (
            chunk.startswith(b"data:")
            and chunk.find(b"\n") == len(chunk) - 2
            and chunk.endswith(b"\n")
            and b"\r" not in chunk
            and len(chunk) <= self._limit
            and self.at_event_start
        )

    def _line(self, line: bytes, events: list[SseEvent]) -> None:
        if not line:
            if self._data:
                events.append(SseEvent(b"\n".join(self._data), self._type or b"message"))
                self._data, self._data_bytes = [], 0
            self._type = b""
            return
        if len(line) > self._limit:
            raise EventTooLongError(f"a line is longer than {self._limit} bytes")
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            # One more for the LF that joins: lines without data cost memory too.
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._limit:
                raise EventTooLongError(f"an event is longer than {self._limit} bytes")
        elif name == b"event":
            self._type = value.removeprefix(b" ")
