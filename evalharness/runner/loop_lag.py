"""How late the client itself was: the lag of its event loop, and how long journal syncs took.

All times that a run records are taken on the event loop. When the loop is late, latencies, times
to first token and chunk times are too long by as much. A report says so where it matters.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

_EVERY_S = 0.02
_MIN_S = 1e-4
_GROWTH = 1.1
_LOG_GROWTH = math.log(_GROWTH)


class LatencyHistogram:
    """A distribution of seconds in constant memory; quantiles are exact to 10 %."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._max = 0.0

    def add(self, seconds: float) -> None:
        """Count one value."""
        bucket = math.ceil(math.log(seconds / _MIN_S) / _LOG_GROWTH) if seconds > _MIN_S else 0
        self._buckets[bucket] += 1
        if seconds > self._max:
            self._max = seconds

    def quantile(self, q: float) -> float | None:
        """The upper edge of the bucket that holds quantile ``q`` (0..1); None without values."""
        rank = math.ceil(q * self._buckets.total())
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return min(_MIN_S * _GROWTH**bucket, self._max)
        return None

    def as_dict(self) -> dict[str, Any]:
        """What the manifest keeps: ``n``, ``p50``, ``p99`` and ``max``, in seconds."""
        n = self._buckets.total()
        return {
            "n": n,
            "p50": self.quantile(0.5),
            "p99": self.quantile(0.99),
            "max": self._max if n else None,
        }


@asynccontextmanager
async def watch_loop(lag: LatencyHistogram) -> AsyncGenerator[None]:
    """Measure how late the event loop runs during the block."""
    probe = asyncio.create_task(probe_loop(lag))
    try:
        yield
    finally:
        probe.cancel()


async def probe_loop(lag: LatencyHistogram) -> NoReturn:
    """Wake every 20 ms and record how late that was; cancel it to end it.

    Wake-ups that a stall has made impossible are counted too, so that quantiles are those over
    time, not over wake-ups.
    """
    while True:
        due = time.perf_counter() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        lag_s = max(0.0, time.perf_counter() - due)
        lag.add(lag_s)
        while (lag_s := lag_s - _EVERY_S) > 0:
            lag.add(lag_s)
