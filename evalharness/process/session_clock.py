"""The time of day that a session records: read once, then counted on.

The system's time of day may be set at any moment. Differences of two recorded times (in our queue,
in flight, from the schedule's zero) would hold that step. So this clock is set when the process
starts, and goes on by the one that counts from the start of the machine, its sleep included.
"""

from __future__ import annotations

import time

#: The system's clock that is counted on by, for ``time.clock_gettime_ns``. Where there is none of
#: that name, the monotonic one counts sleep as well (macOS).
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_START_NS = time.time_ns() - time.clock_gettime_ns(CLOCK)


def now_ns() -> int:
    """Nanoseconds since the Unix epoch in UTC; never goes back, never jumps."""
    return _START_NS + time.clock_gettime_ns(CLOCK)
