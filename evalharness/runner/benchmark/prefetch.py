"""Prepares attempts a little before they are due."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

from evalharness.config.models import LoadConfig
from evalharness.records import Trial
from evalharness.runner.benchmark.attempts import BenchmarkSender, PreparedAttempt

_PREFETCH_S = 1.0  # seconds of an open loop's schedule
_MIN_SIZE, _MAX_SIZE = 8, 256
_BATCH_SIZE = 16  # intents that share a commit


class Prefetcher:
    """A bounded queue of attempts whose intents are on disk.

    Args:
        attempts: prepares them.
        trials: what to send, in order.
        limit: how many of them; None is all there are.
        load: decides how many are prepared beforehand.
        measurement: the number they are recorded under.
    """

    def __init__(
        self,
        attempts: BenchmarkSender,
        trials: Iterator[Trial],
        limit: int | None,
        load: LoadConfig,
        measurement: int,
    ) -> None:
        if load.arrival == "closed":
            size = max(_MIN_SIZE, min(64, load.concurrency or 1))
        else:
            size = max(_MIN_SIZE, min(_MAX_SIZE, round((load.rate or 1.0) * _PREFETCH_S)))
        self._attempts = attempts
        self._trials = islice(trials, limit)
        self._measurement = measurement
        self._batch_size = min(_BATCH_SIZE, size)
        self._queue: asyncio.Queue[PreparedAttempt | None] = asyncio.Queue(size)

    async def produce(self) -> None:
        """Keep the queue full; after cancelling this, call :meth:`discard`.

        Raises:
            BudgetReachedError, StorageError: the next one may not, or cannot, be sent. Those
                prepared before are handed out all the same.
        """
        while batch := list(islice(self._trials, self._batch_size)):
            await self._prepare_batch(batch)
        await self._queue.put(None)

    async def _prepare_batch(self, batch: list[Trial]) -> None:
        """Prepare a batch; each attempt is queued as soon as it is ready.

        One may have to wait for budget that another one of the batch has reserved, so that one must
        not wait for the whole batch.
        """
        tasks = [asyncio.create_task(self._prepare(trial)) for trial in batch]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        for task in tasks:
            if (failure := task.exception()) is not None:
                # The end comes after everything that is queued already.
                await self._queue.put(None)
                raise failure

    async def _prepare(self, trial: Trial) -> None:
        ready = await self._attempts.prepare(trial, self._measurement)
        try:
            await self._queue.put(ready)
        except asyncio.CancelledError:
            self._attempts.discard(ready)
            raise

    async def take(self, ended: asyncio.Event) -> PreparedAttempt | None:
        """The next attempt; None when no more will come, or ``ended`` is set meanwhile."""
        if self._queue.empty():
            get = asyncio.create_task(self._queue.get())
            end = asyncio.create_task(ended.wait())
            await asyncio.wait({get, end}, return_when=asyncio.FIRST_COMPLETED)
            end.cancel()
            ready = get.result() if get.done() else None
            get.cancel()
        else:
            ready = self._queue.get_nowait()
        if ready is None and not self._queue.full():
            self._queue.put_nowait(None)  # so that others who wait see the end, too
        return ready

    def discard(self) -> None:
        """Record what is left in the queue as not sent."""
        while not self._queue.empty():
            ready = self._queue.get_nowait()
            if ready is not None:
                self._attempts.discard(ready)
