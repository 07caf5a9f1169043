"""Time as a parameter, so that tests can move it by hand."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from evalharness.process import session_clock


class Clock(Protocol):
    """Where the throttle takes time from."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes back."""
        ...

    def now_ns(self) -> int:
        """Wall clock: nanoseconds since the Unix epoch in UTC."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return at or after ``when`` (monotonic seconds); at once when it has passed."""
        ...

    async def wait_for(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        """Wait until ``event`` is set or ``timeout_s`` has passed (None: no bound).

        Returns whether the event was set.
        """
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes back."""
        return time.monotonic()

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch in UTC."""
        return session_clock.now_ns()

    async def sleep_until(self, when: float) -> None:
        """Sleep until ``when`` (monotonic seconds)."""
        # The loop may wake a timer up to one clock tick early, hence the second look.
        while (left := when - time.monotonic()) > 0:  # noqa: ASYNC110 - time is the event
            await asyncio.sleep(left)

    async def wait_for(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        """Wait for ``event``, at most ``timeout_s`` seconds; whether it was set."""
        if timeout_s is None:
            return await event.wait()
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return event.is_set()
        return True
