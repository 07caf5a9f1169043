"""How far apart two clocks are, from questions and answers between their processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ClockReading(NamedTuple):
    """The clocks of a process at one moment: monotonic seconds, and wall clock in nanoseconds."""

    monotonic_s: float
    wall_ns: int


class ClockExchange(NamedTuple):
    """A question after another process's clocks: our own when it was sent and answered."""

    sent: ClockReading
    theirs: ClockReading
    received: ClockReading


class ClockOffset(NamedTuple):
    """How much another process's clocks are ahead of ours.

    Attributes:
        monotonic_s, wall_s: of its monotonic and its wall clock.
        error_s: how far either may be wrong.
    """

    monotonic_s: float
    wall_s: float
    error_s: float


def clock_offset(exchanges: Sequence[ClockExchange]) -> ClockOffset:
    """The offset by the exchange with the shortest round trip, as NTP takes it.

    The other clock was read somewhere between question and answer. The middle is taken, so the
    error is at most half of the round trip, whichever way took longer.
    """
    sent, theirs, received = min(exchanges, key=_round_trip_s)
    half_s = (received.monotonic_s - sent.monotonic_s) / 2
    # From one side only: a wall clock that is set in between would move the middle.
    middle_ns = sent.wall_ns + round(half_s * 1e9)
    return ClockOffset(
        monotonic_s=theirs.monotonic_s - (sent.monotonic_s + half_s),
        wall_s=(theirs.wall_ns - middle_ns) / 1e9,
        error_s=half_s,
    )


def _round_trip_s(exchange: ClockExchange) -> float:
    return exchange.received.monotonic_s - exchange.sent.monotonic_s
