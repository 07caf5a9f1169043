"""Virtual time for tests of the throttle and of what stands on it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class ManualClock:
    """Virtual time for tests: nothing sleeps, and the same program gives the same history.

    :meth:`advance` moves time from one sleeper's deadline to the next, in order of deadline and
    then of arrival, and lets every woken task run until all of them wait again. Tasks count as
    waiting when the event loop went round :attr:`QUIET_ROUNDS` times without anybody asking this
    clock for anything.

    Args:
        start: first value of :meth:`monotonic`, in seconds.
        start_ns: value of :meth:`now_ns` at that moment.
    """

    QUIET_ROUNDS = 12

    def __init__(self, start: float = 0.0, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._start = start
        self._start_ns = start_ns
        self._now = start
        self._calls = 0
        self._order = 0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def monotonic(self) -> float:
        """Virtual seconds."""
        self._calls += 1
        return self._now

    def now_ns(self) -> int:
        """Virtual wall clock in nanoseconds; moves with :meth:`monotonic`."""
        self._calls += 1
        return self._start_ns + round((self._now - self._start) * 1e9)

    async def sleep_until(self, when: float) -> None:
        """Wait until virtual time reaches ``when``."""
        if when <= self.monotonic():
            return
        event = asyncio.Event()
        self._add(when, event)
        await event.wait()
        self._calls += 1

    async def wait_for(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        """Wait for ``event``, at most ``timeout_s`` virtual seconds; whether it was set."""
        self._calls += 1
        if event.is_set():
            return True
        if timeout_s is None:
            await event.wait()
            return True
        timer = asyncio.Event()
        self._add(self._now + max(0.0, timeout_s), timer)
        tasks = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(timer.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            timer.set()  # marks the deadline as no longer wanted
        self._calls += 1
        return event.is_set()

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass, waking every sleeper due on the way."""
        target = self._now + seconds
        await self.settle()
        while (due := self._next_deadline()) is not None and due <= target:
            await self._wake_next()
        self._now = target
        await self.settle()

    async def run(self, work: Awaitable[T]) -> T:
        """Let time pass as fast as the sleepers allow until ``work`` is done; its result.

        Raises:
            RuntimeError: the work waits for something that no passing of time can bring.
        """
        task = asyncio.ensure_future(work)
        try:
            await self.settle()
            while not task.done():
                if self._next_deadline() is None:
                    raise RuntimeError("nobody sleeps on this clock, and the work is not done")
                await self._wake_next()
            return task.result()
        finally:
            task.cancel()

    async def settle(self) -> None:
        """Let every task that can run now do so; virtual time stands still."""
        quiet = 0
        while quiet < self.QUIET_ROUNDS:
            before = self._calls
            await asyncio.sleep(0)
            quiet = quiet + 1 if self._calls == before else 0

    def _add(self, when: float, event: asyncio.Event) -> None:
        self._order += 1
        heapq.heappush(self._sleepers, (when, self._order, event))

    def _next_deadline(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].is_set():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def _wake_next(self) -> None:
        when, _, event = heapq.heappop(self._sleepers)
        self._now = max(self._now, when)
        event.set()
        await self.settle()
