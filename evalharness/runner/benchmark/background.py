"""Traffic beside the measured requests: other prompts that are in flight, and in no figure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from typing import Any

from msgspec import structs

from evalharness.config.models import LoadConfig
from evalharness.records import Phase, Status, Trial
from evalharness.runner.benchmark.attempts import BenchmarkSender, DueTime
from evalharness.runner.benchmark.prefetch import Prefetcher
from evalharness.runner.run_summary import StopReason
from evalharness.throttle.clock import Clock

_PAUSE_S = 1.0  # after a failure, so that a server that refuses at once is not flooded


class BackgroundTraffic:
    """Keeps ``load.background`` requests in flight until the measured ones have been sent.

    Each is sent once, whatever becomes of it.

    Args:
        attempts: prepares and sends them.
        trials: what to send, without an end.
        load: of the load point.
        measurement: the number they are recorded under.
        clock: where time comes from.
    """

    def __init__(
        self,
        attempts: BenchmarkSender,
        trials: Iterable[Trial],
        load: LoadConfig,
        measurement: int,
        clock: Clock,
    ) -> None:
        self._attempts = attempts
        self._clock = clock
        self._places = load.background
        # Intents are prepared ahead for as many requests as there are places.
        ahead = structs.replace(load, concurrency=max(1, load.background))
        self._prefetcher = Prefetcher(attempts, iter(trials), None, ahead, measurement)

    def workers(
        self, anchor: float, ended: asyncio.Event, stop: Callable[[StopReason], None]
    ) -> Iterator[Coroutine[Any, Any, None]]:
        """What is to be run beside the measured requests; nothing without a background.

        Args:
            anchor: of the schedule, on the clock.
            ended: no request becomes due any more.
            stop: stops the whole run.
        """
        if not self._places:
            return
        yield self._prepare(ended)
        for _ in range(self._places):
            yield self._send_on(anchor, ended, stop)

    def discard(self) -> None:
        """Record what was prepared and not sent."""
        self._prefetcher.discard()

    async def _prepare(self, ended: asyncio.Event) -> None:
        producer = asyncio.create_task(self._prefetcher.produce())
        end = asyncio.create_task(ended.wait())
        try:
            await asyncio.wait({producer, end}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            end.cancel()
            producer.cancel()
            with suppress(asyncio.CancelledError):
                await producer

    async def _send_on(
        self, anchor: float, ended: asyncio.Event, stop: Callable[[StopReason], None]
    ) -> None:
        while not ended.is_set():
            ready = await self._prefetcher.take(ended)
            if ready is None:
                return
            if ended.is_set():
                self._attempts.discard(ready)
                return
            now = max(anchor, self._clock.monotonic())
            reply, decision = await self._attempts.send(ready, DueTime(now, Phase.BACKGROUND))
            if decision.stops:
                stop(StopReason.from_error(decision.error()))
            elif reply.status is Status.ERROR:
                await self._clock.wait_for(ended, _PAUSE_S)
