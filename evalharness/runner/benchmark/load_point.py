"""One measurement of one load point while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from evalharness.config.models import LoadConfig
from evalharness.errors import EvalharnessError
from evalharness.records import Reply, Status, Trial
from evalharness.runner.benchmark.arrivals import arrivals
from evalharness.runner.benchmark.attempts import Attempts, Due, Ready
from evalharness.runner.benchmark.prefetch import Ahead
from evalharness.runner.benchmark.window import Window
from evalharness.runner.run_summary import Stop
from evalharness.store.folder.load_points_file import Measurement, State
from evalharness.throttle.clock import Clock
from evalharness.throttle.limiter import Stopped

LEAD_S = 0.05  # from having the first attempts ready to the schedule's zero
_ENOUGH_RESULTS = 20  # before a share of errors says anything


class Point(NamedTuple):
    """What one measurement sends.

    ``trials`` never end (a replay's do); ``measured`` is the most requests to measure, None where
    only time ends it; ``trace`` holds a replay's due times.
    """

    load: LoadConfig
    trials: Iterator[Trial]
    measured: int | None
    trace: Sequence[float] = ()


class Session:
    """Sends one load point.

    Args:
        point: what to send.
        into: completed as the measurement goes on.
        attempts: sends.
        clock: where time comes from.
        stop: stops the whole run.
    """

    def __init__(
        self,
        point: Point,
        into: Measurement,
        attempts: Attempts,
        clock: Clock,
        stop: Callable[[Stop], None],
    ) -> None:
        self._load = point.load
        self._trace = point.trace
        self._into = into
        self._attempts = attempts
        attempts.open()
        self._clock = clock
        self._stop = stop
        self._window = Window(point.load, point.measured)
        self._ahead = Ahead(attempts, point.trials, self._window.most, point.load, into.number)
        self._places = asyncio.Semaphore(point.load.concurrency or 1)
        self._ended = asyncio.Event()  # no request becomes due any more
        self._halted = asyncio.Event()  # and those that are due and not sent stay unsent
        self._waiting: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._anchor = 0.0
        self._results = self._failed = self._working = 0
        self._defect: Exception | None = None

    async def run(self, drain_s: float) -> None:
        """Send, and wait until everything has come back."""
        producer = asyncio.create_task(self._guarded(self._ahead.produce()))
        try:
            first = await self._ahead.take(self._ended)
            if first is not None:
                await self._drive(first)
            self._ended.set()
            await self._drained(drain_s)
        finally:
            self._ended.set()
            producer.cancel()
            with suppress(asyncio.CancelledError):
                await producer
            self._ahead.discard()
        if self._defect is not None:
            raise self._defect
        self._conclude()

    def interrupt(self) -> None:
        """The run is being stopped."""
        self._into.state = State.INTERRUPTED
        self._halt()

    def abandon(self) -> None:
        """Do not wait for what is in flight."""
        for task in self._tasks:
            task.cancel()

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    async def _drive(self, first: Ready) -> None:
        self._anchor = self._clock.monotonic() + LEAD_S
        self._into.anchor_ns = self._attempts.begin(self._load, self._anchor)
        if self._load.arrival == "closed":
            await self._until(self._anchor)  # before it, requests would count as warm-up
            await self._closed(first)
        else:
            await self._open(first)

    async def _open(self, first: Ready) -> None:
        """Send by the schedule: every due time is absolute, so lateness never adds up."""
        ready: Ready | None = first
        for at in arrivals(self._load, trace=self._trace):
            phase = self._window.take(at)
            if phase is None:
                break
            ready = ready or await self._ahead.take(self._ended)
            if ready is None:
                return
            due = self._anchor + at
            await self._until(due)
            if self._ended.is_set():
                break
            self._start(self._carry(ready, Due(due, phase)))
            ready = None
            self._check_behind()
        else:
            self._window.close()
        if ready is not None:
            self._attempts.discard(ready)

    async def _until(self, due: float) -> None:
        """Wait for a moment on the clock, or for the end."""
        # A loop may wake a timer up to a millisecond early, hence the second look.
        while (wait_s := due - self._clock.monotonic()) > 0 and not self._ended.is_set():
            await self._clock.wait_for(self._ended, wait_s)

    async def _closed(self, first: Ready) -> None:
        """Keep as many in flight as asked for; the next is due when a place is free."""
        spare = [first]
        self._working = self._load.concurrency or 1
        for _ in range(self._working):
            self._start(self._work(spare))
        await self._ended.wait()
        for ready in spare:
            self._attempts.discard(ready)

    async def _work(self, spare: list[Ready]) -> None:
        try:
            while not self._ended.is_set():
                ready = spare.pop() if spare else await self._ahead.take(self._ended)
                at = self._clock.monotonic() - self._anchor
                phase = None if ready is None else self._window.take(at)
                if ready is not None and phase is not None:
                    await self._carry(ready, Due(self._anchor + at, phase))
                    continue
                if ready is not None:
                    self._attempts.discard(ready)
                elif not self._window.full:
                    return  # another worker has the last one in hand, and has not begun it yet
                self._window.close(at)
                self._ended.set()
        finally:
            self._working -= 1
            if not self._working:
                self._window.close(self._clock.monotonic() - self._anchor)
                self._ended.set()

    async def _carry(self, ready: Ready, due: Due) -> None:
        """Send a request until there is a final reply."""
        while True:
            await self._place(ready, due)
            try:
                if self._halted.is_set():
                    self._attempts.discard(ready, due.at)
                    return
                reply, decision = await self._attempts.send(ready, due)
            finally:
                self._places.release()
            if decision.stops:
                self._stop(Stop.because(decision.error()))
            if decision.final or decision.stops:
                self._count(reply)
                return
            wait_s = decision.wait_s or 0.0
            due = Due(self._clock.monotonic() + wait_s, due.phase)
            if await self._clock.wait_for(self._halted, wait_s):
                return
            ready = await self._attempts.again(ready)

    async def _place(self, ready: Ready, due: Due) -> None:
        """Wait for a place in flight."""
        self._waiting[id(ready)] = due.at
        try:
            await self._places.acquire()
        except asyncio.CancelledError:
            self._attempts.discard(ready, due.at)
            raise
        finally:
            self._waiting.pop(id(ready))

    # ── ending ───────────────────────────────────────────────────────────────────────────────

    def _count(self, reply: Reply) -> None:
        self._results += 1
        self._failed += reply.status is Status.ERROR
        most = self._load.max_error_share
        if most is not None and self._results >= _ENOUGH_RESULTS:
            share = self._failed / self._results
            if share > most:
                self._cut(f"{share:.0%} of {self._results} requests failed")

    def _check_behind(self) -> None:
        oldest = next(iter(self._waiting.values()), None)
        if oldest is not None and self._clock.monotonic() - oldest > self._load.max_behind_s:
            self._cut(
                f"saturated: a request waited {self._load.max_behind_s:g} s for one of "
                f"{self._load.concurrency} places in flight"
            )

    def _cut(self, reason: str) -> None:
        """End the load point by one of its own conditions."""
        if not self._ended.is_set():
            self._into.state, self._into.reason = State.CUT, reason
            self._halt()

    def _halt(self) -> None:
        self._window.close(self._clock.monotonic() - self._anchor)
        self._ended.set()
        self._halted.set()
        self._attempts.close()

    async def _drained(self, drain_s: float) -> None:
        """Wait for what is in flight: all of it, or ``drain_s`` when the run is being stopped."""
        everything = asyncio.gather(*self._tasks, return_exceptions=True)
        halted = asyncio.create_task(self._halted.wait())
        await asyncio.wait({everything, halted}, return_when=asyncio.FIRST_COMPLETED)
        halted.cancel()
        if not everything.done() and self._into.state is State.INTERRUPTED:
            await asyncio.wait({everything}, timeout=drain_s)
            if not everything.done():
                self.abandon()
        await everything

    def _conclude(self) -> None:
        window, into = self._window, self._into
        window.close(self._clock.monotonic() - self._anchor)
        into.begin_s, into.end_s, into.scheduled = window.begin_s, window.end_s, window.scheduled
        if into.state is State.RUNNING:
            into.state = State.COMPLETE

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work; a failure stops the run instead of being forgotten."""
        try:
            await work
        except (Stopped, asyncio.CancelledError):
            return
        except EvalharnessError as error:  # storage and budget among them
            self._stop(Stop.because(error))
        except Exception as error:
            self._defect = error
            self.interrupt()
