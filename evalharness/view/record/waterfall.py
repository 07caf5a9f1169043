"""The attempts of a trial on one scale of time: in the queue, sent, first token, end, back-off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from evalharness.report.words.format_numbers import seconds

if TYPE_CHECKING:
    from markupsafe import Markup

_WIDTH, _HEIGHT = 360, 14
_LEAST = 1.5  # units of a segment that is too short to be seen
#: Classes of the segments, and what they mean.
LEGEND = (
    ("queue", "in our own queue"),
    ("wait", "sent, until the first token"),
    ("body", "until the end"),
    ("whole", "sent, until the end: not streamed, or no first token is recorded"),
    ("backoff", "pause before the next attempt"),
)
_SPOKEN = dict(LEGEND) | {"whole": "sent, until the end"}


class Times(NamedTuple):
    """When an attempt was what; None where unknown.

    Attributes:
        sent_at_ns: instant.
        queue_s: before it was sent.
        first_token_s, latency_s: from it being sent.
        backoff_s: after it ended.
    """

    sent_at_ns: int | None
    queue_s: float | None
    first_token_s: float | None
    latency_s: float | None
    backoff_s: float | None


class Segment(NamedTuple):
    """A piece of the drawing: seconds since the first attempt was due."""

    kind: str
    start_s: float
    length_s: float


def segments(attempts: Sequence[Times]) -> list[list[Segment]]:
    """The segments of each attempt; none of one that was never sent."""
    starts = [
        None if each.sent_at_ns is None else each.sent_at_ns - round(1e9 * (each.queue_s or 0))
        for each in attempts
    ]
    origin = min((start for start in starts if start is not None), default=0)
    return [
        [] if start is None else _segments(each, (start - origin) / 1e9)
        for each, start in zip(attempts, starts, strict=True)
    ]


def _segments(times: Times, start_s: float) -> list[Segment]:
    first, latency = times.first_token_s, times.latency_s
    lengths = [("queue", times.queue_s)]
    lengths.append(("whole", latency) if first is None else ("wait", first))
    if first is not None and latency is not None:
        lengths.append(("body", max(0.0, latency - first)))
    lengths.append(("backoff", times.backoff_s))
    pieces: list[Segment] = []
    for kind, length in lengths:
        if length is not None and length >= 0:
            pieces.append(Segment(kind, start_s, length))
            start_s += length
    return pieces


def drawings(attempts: Sequence[Times]) -> list[Markup | None]:
    """A drawing of each attempt on the same scale; None where nothing is known of its times."""
    rows = segments(attempts)
    end = max((each.start_s + each.length_s for row in rows for each in row), default=0.0)
    return [_draw(row, end) if row else None for row in rows]


def _draw(row: Sequence[Segment], end: float) -> Markup:
    from markupsafe import Markup, escape

    def units(length_s: float) -> float:
        return _WIDTH * (length_s / end) if end else 0.0

    drawn = "".join(
        f'<rect class="w-{each.kind}" x="{min(units(each.start_s), _WIDTH - _LEAST):.1f}" y="2" '
        f'width="{max(units(each.length_s), _LEAST):.1f}" height="{_HEIGHT - 4}"/>'
        for each in row
    )
    spoken = ", ".join(f"{_SPOKEN[each.kind]} {seconds(each.length_s)}" for each in row)
    return Markup(  # noqa: S704 — numbers, and a text that is escaped
        f'<svg class="waterfall" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(spoken)}">'
        f'<rect class="w-ground" x="0" y="{_HEIGHT - 2}" width="{_WIDTH}" height="1"/>{drawn}</svg>'
    )
