"""Attempts made ready a little before they are due."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

from evalharness.config.models import LoadConfig
from evalharness.records import Trial
from evalharness.runner.benchmark.attempts import Attempts, Ready

_AHEAD_S = 1.0  # seconds of an open loop's schedule
_FEWEST, _MOST = 8, 256
_TOGETHER = 16  # intents that share a commit


class Ahead:
    """A bounded line of attempts whose intents are on disk.

    Args:
        attempts: makes them ready.
        trials: what to send, in order.
        most: how many of them; None is all there are.
        load: decides how far ahead.
        measurement: the number they are recorded under.
    """

    def __init__(
        self,
        attempts: Attempts,
        trials: Iterator[Trial],
        most: int | None,
        load: LoadConfig,
        measurement: int,
    ) -> None:
        if load.arrival == "closed":
            size = max(_FEWEST, min(64, load.concurrency or 1))
        else:
            size = max(_FEWEST, min(_MOST, round((load.rate or 1.0) * _AHEAD_S)))
        self._attempts = attempts
        self._trials = islice(trials, most)
        self._measurement = measurement
        self._together = min(_TOGETHER, size)
        self._line: asyncio.Queue[Ready | None] = asyncio.Queue(size)

    async def produce(self) -> None:
        """Keep the line full; whoever cancels this calls :meth:`discard` afterwards.

        Raises:
            BudgetReachedError, StorageError: the next one may not, or cannot, be sent. Those made
                ready before are handed out all the same.
        """
        while batch := list(islice(self._trials, self._together)):
            await self._line_up(batch)
        await self._line.put(None)

    async def _line_up(self, batch: list[Trial]) -> None:
        """Make a batch ready, each handed over as soon as it is.

        One may have to wait for money that another of the batch has set aside: whatever is ready
        must be free to go.
        """
        tasks = [asyncio.create_task(self._one(trial)) for trial in batch]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        for task in tasks:
            if (failure := task.exception()) is not None:
                # What is in the line goes first; then there is room for the end.
                await self._line.put(None)
                raise failure

    async def _one(self, trial: Trial) -> None:
        ready = await self._attempts.prepare(trial, self._measurement)
        try:
            await self._line.put(ready)
        except asyncio.CancelledError:
            self._attempts.discard(ready)
            raise

    async def take(self, ended: asyncio.Event) -> Ready | None:
        """The next attempt; None when no more will come, or ``ended`` is set meanwhile."""
        if self._line.empty():
            get = asyncio.create_task(self._line.get())
            over = asyncio.create_task(ended.wait())
            await asyncio.wait({get, over}, return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            ready = get.result() if get.done() else None
            get.cancel()
        else:
            ready = self._line.get_nowait()
        if ready is None and not self._line.full():
            self._line.put_nowait(None)  # whoever else waits must see the end, too
        return ready

    def discard(self) -> None:
        """Record what is left in the line as not sent."""
        while not self._line.empty():
            ready = self._line.get_nowait()
            if ready is not None:
                self._attempts.discard(ready)
