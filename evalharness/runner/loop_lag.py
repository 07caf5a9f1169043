"""Was the client itself late? How far behind its event loop ran, and how long journal syncs took.

Every time a run records is taken on the event loop: when the loop is late, latencies, times to
first token and chunk times are too long by as much. A report says so where it matters.
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
_LEAST_S = 1e-4
_GROWTH = 1.1
_LOG_GROWTH = math.log(_GROWTH)


class Lateness:
    """A distribution of seconds in constant memory; quantiles are exact to 10 %."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._most = 0.0

    def add(self, seconds: float) -> None:
        """Count one value."""
        bucket = math.ceil(math.log(seconds / _LEAST_S) / _LOG_GROWTH) if seconds > _LEAST_S else 0
        self._buckets[bucket] += 1
        if seconds > self._most:
            self._most = seconds

    def quantile(self, q: float) -> float | None:
        """The upper edge of the bucket that holds quantile ``q`` (0..1); None without values."""
        rank = math.ceil(q * self._buckets.total())
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return min(_LEAST_S * _GROWTH**bucket, self._most)
        return None

    def figures(self) -> dict[str, Any]:
        """What the manifest keeps: ``n``, ``p50``, ``p99`` and ``max``, in seconds."""
        n = self._buckets.total()
        return {
            "n": n,
            "p50": self.quantile(0.5),
            "p99": self.quantile(0.99),
            "max": self._most if n else None,
        }


@asynccontextmanager
async def watching(lag: Lateness) -> AsyncGenerator[None]:
    """Note how late the event loop runs for the length of the block."""
    probe = asyncio.create_task(probe_loop(lag))
    try:
        yield
    finally:
        probe.cancel()


async def probe_loop(lag: Lateness) -> NoReturn:
    """Wake every 20 ms and note how late that was; cancel it to end it.

    A stall hides the wake-ups that should have been within it, so they are counted too: the
    quantiles are those of a moment in time, not of a wake-up.
    """
    while True:
        due = time.perf_counter() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        late = max(0.0, time.perf_counter() - due)
        lag.add(late)
        while (late := late - _EVERY_S) > 0:
            lag.add(late)
