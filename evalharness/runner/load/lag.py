"""How late the event loop wakes up: a client that is short of time cannot time anything."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

_EVERY_S = 0.01


class Lag:
    """Seconds by which timers of the event loop were late while it was watched."""

    def __init__(self) -> None:
        self._late: list[float] = []

    def summary(self) -> dict[str, float]:
        """``p50``, ``p99`` and ``max`` in seconds; empty before the first timer."""
        if not self._late:
            return {}
        ordered = sorted(self._late)
        last = len(ordered) - 1
        return {
            "p50": ordered[last // 2],
            "p99": ordered[min(last, int(0.99 * len(ordered)))],
            "max": ordered[-1],
        }

    async def watch(self) -> None:
        """Set a timer a hundred times a second; cancel it to end it."""
        while True:
            due = time.monotonic() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._late.append(max(0.0, time.monotonic() - due))


@contextlib.asynccontextmanager
async def watching() -> AsyncGenerator[Lag]:
    """Watch the event loop for the length of the block."""
    lag = Lag()
    task = asyncio.create_task(lag.watch())
    try:
        yield lag
    finally:
        task.cancel()
