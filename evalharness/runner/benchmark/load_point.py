"""Runs one load point: sends its requests and completes its measurement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from msgspec import structs

from evalharness.errors import EvalharnessError, OutOfMemoryError
from evalharness.process.pauses import wait_at_most
from evalharness.records import Phase, Reply, Status
from evalharness.runner.benchmark.arrivals import arrivals
from evalharness.runner.benchmark.attempts import BenchmarkSender, DueTime, PreparedAttempt
from evalharness.runner.benchmark.background import BackgroundTraffic
from evalharness.runner.benchmark.oversaturation import OversaturationWatch
from evalharness.runner.benchmark.point_plan import LoadPointPlan
from evalharness.runner.benchmark.prefetch import Prefetcher
from evalharness.runner.benchmark.sessions import SessionSender
from evalharness.runner.benchmark.window import MeasurementWindow
from evalharness.runner.run_summary import StopReason
from evalharness.store.folder.load_points_file import Measurement, MeasurementState
from evalharness.throttle.clock import Clock
from evalharness.throttle.waiters import LimiterClosed

LEAD_S = 0.05  # from the first prepared attempts to the schedule's zero
_MIN_RESULTS = 20  # before the share of errors is looked at


class LoadPointRunner:
    """Sends one load point.

    Args:
        plan: what to send.
        measurement: completed as it goes on.
        attempts: prepares and sends attempts.
        clock: where time comes from.
        stop: stops the whole run.
        wait_for_anchor: awaited once the first request is prepared; returns when the schedule
            begins, on ``clock``. None begins it at once.
    """

    def __init__(
        self,
        plan: LoadPointPlan,
        measurement: Measurement,
        attempts: BenchmarkSender,
        clock: Clock,
        stop: Callable[[StopReason], None],
        wait_for_anchor: Callable[[], Awaitable[float]] | None = None,
    ) -> None:
        self._load = plan.load
        self._share = plan.share
        self._wait_for_anchor = wait_for_anchor
        self._trace = plan.trace
        self._measurement = measurement
        self._attempts = attempts
        attempts.open()
        self._clock = clock
        self._stop = stop
        self._window = MeasurementWindow(
            plan.load, plan.measured, conversations=plan.next_turn is not None
        )
        closed = plan.load.arrival == "closed"
        most, load = self._window.max_requests, plan.load
        if not closed and plan.share.workers > 1:
            most = None if most is None else plan.share.of(most)
            rate = None if load.rate is None else load.rate / plan.share.workers
            places = max(1, plan.share.of(load.concurrency or 1))
            load = structs.replace(load, rate=rate, concurrency=places)
        self._prefetcher = Prefetcher(attempts, plan.trials, most, load, measurement.number)
        self._background = BackgroundTraffic(
            attempts, plan.background, plan.load, measurement.number, clock
        )
        self._slots = asyncio.Semaphore(load.concurrency or 1)
        self._ended = asyncio.Event()  # no request becomes due any more
        self._halted = asyncio.Event()  # and requests that are due are not sent any more
        self._waiting: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions = SessionSender(
            plan.load, plan.next_turn, self._window, attempts, self._halted, clock,
            self._send_until_final,
        )  # fmt: skip
        self._oversaturation = _oversaturation_watch(plan)
        self._anchor = 0.0
        self._results = self._failed = self._active_workers = 0
        self._unexpected_error: Exception | None = None

    async def run(self, drain_s: float) -> None:
        """Send, and wait until everything has come back."""
        producer = asyncio.create_task(self._run_guarded(self._prefetcher.produce()))
        try:
            first = await self._prefetcher.take(self._ended)
            if first is not None:
                await self._send_all(first)
            self._ended.set()
            await self._drain(drain_s)
        finally:
            self._ended.set()
            producer.cancel()
            with suppress(asyncio.CancelledError):
                await producer
            self._prefetcher.discard()
            self._background.discard()
        if self._unexpected_error is not None:
            raise self._unexpected_error
        self._conclude()

    def interrupt(self) -> None:
        """Stop, because the run is being stopped."""
        self._measurement.state = MeasurementState.INTERRUPTED
        self._halt()

    def abandon(self) -> None:
        """Do not wait for what is in flight."""
        for task in self._tasks:
            task.cancel()

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    async def _send_all(self, first: PreparedAttempt) -> None:
        if self._wait_for_anchor is None:
            self._anchor = self._clock.monotonic() + LEAD_S
        else:
            self._anchor = await self._wait_for_anchor()
        self._sessions.anchor = self._anchor
        self._measurement.anchor_ns = self._attempts.start_schedule(self._load, self._anchor)
        if self._load.arrival == "closed":
            await self._wait_until(self._anchor)  # before it, requests would count as warm-up
            for work in self._background.workers(self._anchor, self._ended, self._stop):
                self._start(work)
            await self._send_closed_loop(first)
        else:
            await self._send_open_loop(first)

    async def _send_open_loop(self, first: PreparedAttempt) -> None:
        """Send by the schedule: due times are absolute, so that delays do not add up."""
        ready: PreparedAttempt | None = first
        for number, at in enumerate(arrivals(self._load, trace=self._trace)):
            phase = self._window.next_phase(at)
            if phase is None:
                break
            if not self._share.owns(number):
                continue
            ready = ready or await self._prefetcher.take(self._ended)
            if ready is None:
                return
            due = self._anchor + at
            await self._wait_until(due)
            if self._ended.is_set():
                break
            self._start(self._sessions.send(ready, DueTime(due, phase)))
            ready = None
            self._check_lag()
        else:
            self._window.close()
        if ready is not None:
            self._attempts.discard(ready)

    async def _wait_until(self, due: float) -> None:
        """Wait for a moment on the clock, or for the end."""
        # A loop may wake a timer up to a millisecond early, hence the second look.
        while (wait_s := due - self._clock.monotonic()) > 0 and not self._ended.is_set():
            await self._clock.wait_for(self._ended, wait_s)

    async def _send_closed_loop(self, first: PreparedAttempt) -> None:
        """Keep ``load.concurrency`` requests in flight; the next is due when a slot is free."""
        unused = [first]
        self._active_workers = self._load.concurrency or 1
        for _ in range(self._active_workers):
            self._start(self._run_worker(unused))
        await self._ended.wait()
        for ready in unused:
            self._attempts.discard(ready)

    async def _run_worker(self, unused: list[PreparedAttempt]) -> None:
        try:
            while not self._ended.is_set():
                ready = unused.pop() if unused else await self._prefetcher.take(self._ended)
                at = self._clock.monotonic() - self._anchor
                phase = None if ready is None else self._window.next_phase(at)
                if ready is not None and phase is not None:
                    await self._sessions.send(ready, DueTime(self._anchor + at, phase))
                    continue
                if ready is not None:
                    self._attempts.discard(ready)
                elif not self._window.full:
                    return  # another worker has taken the last one, and has not counted it yet
                self._window.close_arrivals(at)
                self._ended.set()
        finally:
            self._active_workers -= 1
            if not self._active_workers:
                self._window.close(self._clock.monotonic() - self._anchor)
                self._ended.set()

    async def _send_until_final(self, ready: PreparedAttempt, due: DueTime) -> Reply | None:
        """Send a request until there is a final reply; None where the run is stopped before."""
        while True:
            await self._acquire_slot(ready, due)
            try:
                if self._halted.is_set():
                    self._attempts.discard(ready, due.at)
                    return None
                sent_at = self._clock.monotonic()
                self._watch_sent(due, sent_at)
                reply, decision = await self._attempts.send(ready, due)
            finally:
                self._slots.release()
            if decision.stops:
                self._stop(StopReason.from_error(decision.error()))
            if decision.final or decision.stops:
                self._count_result(reply)
                self._watch_answer(due, sent_at, reply)
                return None if decision.stops else reply
            wait_s = decision.wait_s or 0.0
            due = DueTime(self._clock.monotonic() + wait_s, due.phase)
            if await self._clock.wait_for(self._halted, wait_s):
                return None
            ready = await self._attempts.prepare_retry(ready)

    async def _acquire_slot(self, ready: PreparedAttempt, due: DueTime) -> None:
        """Wait for a slot in flight."""
        self._waiting[id(ready)] = due.at
        try:
            await self._slots.acquire()
        except asyncio.CancelledError:
            self._attempts.discard(ready, due.at)
            raise
        finally:
            self._waiting.pop(id(ready))

    # ── ending ───────────────────────────────────────────────────────────────────────────────

    def _count_result(self, reply: Reply) -> None:
        self._results += 1
        self._failed += reply.status is Status.ERROR
        max_share = self._load.max_error_share
        if max_share is not None and self._results >= _MIN_RESULTS:
            share = self._failed / self._results
            if share > max_share:
                self.cut_short(f"{share:.0%} of {self._results} requests failed")

    def _watch_sent(self, due: DueTime, at: float) -> None:
        if self._oversaturation is not None and due.phase is Phase.MEASURED:
            self._oversaturation.observe_sent(at, self._attempts.in_flight)

    def _watch_answer(self, due: DueTime, sent_at: float, reply: Reply) -> None:
        """End an open loop whose server falls further and further behind."""
        watch, wait_s = self._oversaturation, reply.ttft_s or reply.latency_s
        if watch is None or due.phase is not Phase.MEASURED or wait_s is None:
            return
        watch.observe_answer(sent_at, sent_at - due.at + wait_s)
        if (reason := watch.look(self._clock.monotonic())) is not None:
            self.cut_short(reason)

    def _check_lag(self) -> None:
        oldest = next(iter(self._waiting.values()), None)
        if oldest is not None and self._clock.monotonic() - oldest > self._load.max_behind_s:
            self.cut_short(
                f"saturated: a request waited {self._load.max_behind_s:g} s for one of "
                f"{self._load.concurrency} places in flight"
            )

    def cut_short(self, reason: str) -> None:
        """End the load point by one of its own conditions."""
        if not self._ended.is_set():
            self._measurement.state, self._measurement.reason = MeasurementState.CUT, reason
            self._halt()

    def _halt(self) -> None:
        self._window.close(self._clock.monotonic() - self._anchor)
        self._ended.set()
        self._halted.set()
        self._attempts.close()

    async def _drain(self, drain_s: float) -> None:
        """Wait for what is in flight: all of it, or ``drain_s`` when the run is being stopped."""
        all_tasks = asyncio.gather(*self._tasks, return_exceptions=True)
        halted = asyncio.create_task(self._halted.wait())
        await asyncio.wait({all_tasks, halted}, return_when=asyncio.FIRST_COMPLETED)
        halted.cancel()
        if not all_tasks.done() and self._measurement.state is MeasurementState.INTERRUPTED:
            await wait_at_most([all_tasks], drain_s)
            if not all_tasks.done():
                self.abandon()
        await all_tasks

    def _conclude(self) -> None:
        window, measurement = self._window, self._measurement
        window.close(self._clock.monotonic() - self._anchor)
        measurement.begin_s, measurement.end_s, measurement.scheduled = (
            window.begin_s,
            window.end_s,
            window.scheduled,
        )
        if self._sessions.has_turns:
            measurement.sessions = window.sessions
            measurement.arrivals_end_s = window.arrivals_end_s
        if measurement.state is MeasurementState.RUNNING:
            measurement.state = MeasurementState.COMPLETE

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._run_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Await ``work``; an error stops the run instead of being lost in a task."""
        try:
            await work
        except (LimiterClosed, asyncio.CancelledError):
            return
        except EvalharnessError as error:  # storage and budget among them
            self._stop(StopReason.from_error(error))
        except MemoryError:
            self._stop(StopReason.from_error(OutOfMemoryError()))
        except Exception as error:
            self._unexpected_error = error
            self.interrupt()


def _oversaturation_watch(plan: LoadPointPlan) -> OversaturationWatch | None:
    """A watch for a steady open loop that is to end early; None for others."""
    load = plan.load
    if not load.stop_when_oversaturated or load.rate is None:
        return None
    by_count = None if plan.measured is None else plan.measured / load.rate
    lengths = [each for each in (load.duration_s, by_count) if each is not None]
    return OversaturationWatch(min(lengths)) if lengths else None
