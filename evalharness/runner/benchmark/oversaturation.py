"""Whether a server is over-saturated: requests come faster than it can ever answer them.

Then the requests in flight and the time to the first token both grow for as long as the load lasts,
while those of a busy server that keeps up rise and fall. Both are cut into stretches of time, and a
straight line is fitted to the means of these, which depend less on each other than single requests.
The load is called over-saturated when both lines certainly rise, and rise by enough to matter.
`python -m benchmarks.oversaturation` shows how often that is wrong.
"""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

STRETCHES = 10
_MIN_SENT = 100
_MIN_ANSWERS = 50
# The 99.9th percentile of Student's t with STRETCHES - 2 degrees of freedom: stretches depend on
# each other a little, and are looked at several times.
_T = 4.501
_MIN_BACKLOG = 0.1  # requests in flight grow by this share of those that arrive
_MIN_GROWTH = 2.0  # the fitted last wait is so many times the first
_LOOKS = 10  # in a load point


class FittedLine(NamedTuple):
    """A straight line through a series over time.

    Attributes:
        slope: per second.
        lower: of a one-sided 99.9 % interval of the slope.
        first, last: values of the line in the first and the last stretch.
    """

    slope: float
    lower: float
    first: float
    last: float


def fit_line(at: array[float], values: array[float]) -> FittedLine | None:
    """Least squares through the means of :data:`STRETCHES` equal stretches of time.

    Returns:
        None where a stretch has no value.
    """
    if not at:
        return None
    begin = min(at)
    length = (max(at) - begin) / STRETCHES
    if length <= 0:
        return None
    sums, counts = [0.0] * STRETCHES, [0] * STRETCHES
    for when, value in zip(at, values, strict=True):
        index = min(int((when - begin) / length), STRETCHES - 1)
        sums[index] += value
        counts[index] += 1
    if 0 in counts:
        return None
    means = [total / count for total, count in zip(sums, counts, strict=True)]
    middle, mean = (STRETCHES - 1) / 2, sum(means) / STRETCHES
    squares = sum((i - middle) ** 2 for i in range(STRETCHES))
    slope = sum((i - middle) * (y - mean) for i, y in enumerate(means)) / squares
    rest = sum((y - mean - slope * (i - middle)) ** 2 for i, y in enumerate(means))
    error = math.sqrt(rest / (STRETCHES - 2) / squares)
    return FittedLine(
        slope / length, (slope - _T * error) / length, mean - slope * middle, mean + slope * middle
    )


class OversaturationWatch:
    """Watches the measured requests of one open-loop load point.

    Times are seconds on any one clock.

    Args:
        duration_s: how long it lasts.
    """

    def __init__(self, duration_s: float) -> None:
        self._look_s = duration_s / _LOOKS
        self._next_look: float | None = None
        self._sent_at, self._in_flight = array("d"), array("d")
        self._answered_at, self._waits = array("d"), array("d")

    def observe_sent(self, at: float, in_flight: int) -> None:
        """A request was sent, with so many in flight."""
        self._sent_at.append(at)
        self._in_flight.append(in_flight)

    def observe_answer(self, sent_at: float, wait_s: float) -> None:
        """An answer's first token came so long after the request was due, or the whole answer."""
        self._answered_at.append(sent_at)
        self._waits.append(wait_s)

    def look(self, at: float) -> str | None:
        """As :meth:`growth`, where it is time to look again; else None."""
        if self._next_look is None:
            self._next_look = at + self._look_s
        if at < self._next_look:
            return None
        self._next_look = at + self._look_s
        return self.growth()

    def growth(self) -> str | None:
        """How the load overruns the server, in words; None where it does not, or is not certain."""
        sent = len(self._sent_at)
        if sent < _MIN_SENT or len(self._waits) < _MIN_ANSWERS:
            return None
        flight = fit_line(self._sent_at, self._in_flight)
        waits = fit_line(self._answered_at, self._waits)
        if flight is None or waits is None or flight.lower <= 0 or waits.lower <= 0:
            return None
        rate = sent / (max(self._sent_at) - min(self._sent_at))
        if flight.slope < _MIN_BACKLOG * rate or waits.last < _MIN_GROWTH * max(waits.first, 0.0):
            return None
        return (
            f"over-saturated: requests in flight grew by {flight.slope:.2g} a second, and the wait "
            f"for an answer from {max(waits.first, 0.0):.2g} to {waits.last:.2g} s"
        )
