"""One worker of a benchmark: it sends its share of every load point."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import structs

from evalharness.distributed.benchmark.clock_offset import ClockReading
from evalharness.distributed.benchmark.shares import ScheduleStart, ShareOfPoint, ShareResult
from evalharness.distributed.limits.limiter import SharedLimiter
from evalharness.distributed.messages import EndpointSpec, WorkerDone, WorkerSetup
from evalharness.distributed.progress_counters import ProgressCounters
from evalharness.distributed.store import PartRegistry, ShardStore
from evalharness.distributed.worker import (
    CoordinatorApi,
    report_progress,
    worker_budget,
    worker_endpoint,
)
from evalharness.errors import EXIT_STORAGE, EvalharnessError
from evalharness.http import Transports
from evalharness.planning.plan import Plan
from evalharness.process import session_clock
from evalharness.records import AttemptResult, Intent
from evalharness.runner.benchmark import LoadRunner
from evalharness.runner.benchmark.point import load_point_plan
from evalharness.runner.context import RunContext
from evalharness.runner.run_summary import RunSummary, StopReason
from evalharness.store.folder.load_points_file import Measurement
from evalharness.store.journal.disk_reserve import expected_answer_bytes
from evalharness.store.parts.setting_columns import SettingColumns, columns_by_setting
from evalharness.throttle.clock import SystemClock
from evalharness.throttle.limiter import EndpointLimiter


class LoadStore(ShardStore):
    """Records what a worker does, on the driver's wall clock.

    Attributes:
        ahead_ns: how much the worker's wall clock is ahead of the driver's.
    """

    def __init__(
        self,
        root: Path,
        journal: Path,
        settings: Mapping[str, SettingColumns],
        registry: PartRegistry,
    ) -> None:
        super().__init__(root, journal, settings, registry)
        self.ahead_ns = 0

    def append(self, value: Intent | AttemptResult) -> asyncio.Future[None]:
        """As :meth:`RunStore.append`, with instants on the driver's clock."""
        return super().append(on_driver_clock(value, self.ahead_ns))

    def put(self, value: Intent | AttemptResult) -> None:
        """As :meth:`RunStore.put`, with instants on the driver's clock."""
        super().put(on_driver_clock(value, self.ahead_ns))


def on_driver_clock(value: Intent | AttemptResult, ahead_ns: int) -> Intent | AttemptResult:
    """The same entry, with instants of a wall clock that is ``ahead_ns`` ahead on the driver's."""
    if isinstance(value, Intent):
        return _moved_intent(value, ahead_ns)
    reply = value.reply
    if reply.sent_at_ns is not None:
        reply = structs.replace(reply, sent_at_ns=reply.sent_at_ns - ahead_ns)
    return structs.replace(
        value,
        intent=_moved_intent(value.intent, ahead_ns),
        reply=reply,
        scheduled_at_ns=value.scheduled_at_ns - ahead_ns,
    )


def _moved_intent(intent: Intent, ahead_ns: int) -> Intent:
    return structs.replace(intent, admitted_at_ns=intent.admitted_at_ns - ahead_ns)


class LoadWorker:
    """Sends its share of load points.

    Args:
        name, setup, coordinator, journal: as of
            :class:`~evalharness.distributed.worker.ShardWorker`.
    """

    def __init__(
        self, name: str, setup: WorkerSetup, coordinator: CoordinatorApi, journal: Path
    ) -> None:
        self._name = name
        self._setup = setup
        self._coordinator = coordinator
        self._journal = journal
        self._plan = Plan(
            setup.config, setup.prompts, setup.settings, setup.profiles, setup.protocols
        )
        self._closing = asyncio.Event()
        self._opened = asyncio.Event()
        self._runner: LoadRunner | None = None
        self._store: LoadStore | None = None
        self._measuring: asyncio.Task[None] | None = None
        self._measurement: Measurement | None = None
        self._start: asyncio.Future[ScheduleStart] | None = None
        self._lost_reason: str | None = None

    async def run(self) -> WorkerDone:
        """Be there for load points until :meth:`close`.

        Raises:
            EvalharnessError: a key is missing on this node, or the journal cannot be opened.
        """
        setup, counters = self._setup, ProgressCounters()
        async with AsyncExitStack() as stack:
            transports = Transports(setup.config.transport, setup.config.limits, stack)
            limiters = {e.name: self._limiter(e) for e in setup.endpoints}
            endpoints = {
                e.name: worker_endpoint(e, await transports.get(e.tls), limiters[e.name])
                for e in setup.endpoints
            }
            budget = worker_budget(setup, self._coordinator)
            settings = columns_by_setting(setup.settings)
            store = self._store = LoadStore(setup.root, self._journal, settings, self._coordinator)
            stack.callback(store.close)
            store.start(
                in_flight=max(e.limits.concurrency for e in setup.endpoints),
                answer_bytes=expected_answer_bytes(setup.settings),
            )
            context = RunContext(self._plan, store, endpoints, budget, counters)
            runner = self._runner = LoadRunner(context)
            store.on_lost = self._on_coordinator_lost
            reports = asyncio.create_task(report_progress(self._coordinator, counters))
            stack.callback(reports.cancel)
            async with AsyncExitStack() as connections:
                shared = [
                    limiter for limiter in limiters.values() if isinstance(limiter, SharedLimiter)
                ]
                for client in (budget, *shared):
                    client.on_lost = self._on_coordinator_lost
                    await connections.enter_async_context(client)
                self._opened.set()
                await self._closing.wait()
            await store.end()
            if store.failure is not None:
                runner.summary.set_stop(StopReason.from_error(store.failure))
            if self._lost_reason is None:
                await self._coordinator.report_progress(counters.take())
        return self._done(runner.summary, store)

    def _limiter(self, endpoint: EndpointSpec) -> EndpointLimiter:
        """Without rates there is nothing to ask for: a message would come between due and sent."""
        if not self._setup.needs_grant[endpoint.name]:
            return EndpointLimiter(
                endpoint.name, endpoint.limits, endpoint.profile, SystemClock(), 0
            )
        return SharedLimiter(
            endpoint.name,
            endpoint.limits,
            endpoint.profile,
            SystemClock(),
            client=self._coordinator.slot_client(endpoint.name),
            needs_grant=True,
        )

    def _done(self, summary: RunSummary, store: LoadStore) -> WorkerDone:
        return WorkerDone(
            sent=summary.sent,
            retried=summary.retried,
            in_doubt=summary.in_doubt,
            prompt_tokens=summary.prompt_tokens,
            completion_tokens=summary.completion_tokens,
            billed_usd=summary.billed_usd,
            unsaved=summary.unsaved + store.journal.lost_records,
            lost_reason=self._lost_reason,
            session={},
            stop=summary.stop,
        )

    # ── one load point ───────────────────────────────────────────────────────────────────────

    async def wait_until_open(self) -> None:
        """Wait until requests can be prepared."""
        await self._opened.wait()

    async def prepare(self, work: ShareOfPoint) -> None:
        """Return once the first request is prepared, or there is none to send."""
        assert self._runner is not None
        self._measurement = work.measurement
        self._start = asyncio.get_running_loop().create_future()
        is_ready = asyncio.Event()
        plan = load_point_plan(self._plan, work.point, work.share)
        self._measuring = asyncio.create_task(
            self._runner.measure(plan, work.measurement, lambda: self._wait_for_start(is_ready))
        )
        ready = asyncio.create_task(is_ready.wait())
        await asyncio.wait({self._measuring, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    async def _wait_for_start(self, is_ready: asyncio.Event) -> float:
        is_ready.set()
        assert self._start is not None
        assert self._store is not None
        start = await self._start
        reading = self.clock()
        # The wall clock here, at the moment that the driver's calls `wall_ns`.
        wall_ns = reading.wall_ns + round((start.monotonic_s - reading.monotonic_s) * 1e9)
        self._store.ahead_ns = wall_ns - start.wall_ns
        return start.monotonic_s

    def clock(self) -> ClockReading:
        """The clocks of this process."""
        return ClockReading(time.monotonic(), session_clock.now_ns())

    async def measure(self, start: ScheduleStart) -> ShareResult:
        """Send what was prepared, from ``start`` on; return when all has come back."""
        assert self._runner is not None
        assert self._store is not None
        assert self._start is not None
        assert self._measuring is not None
        assert self._measurement is not None
        summary = self._runner.summary
        recorded, by_status = summary.recorded, summary.by_status.copy()
        if not self._start.done():
            self._start.set_result(start)
        try:
            await self._measuring
            await self._store.journal.flush()
        except EvalharnessError as error:
            self._runner.stop(StopReason.from_error(error))
        counted = summary.by_status.copy()
        counted.subtract(by_status)
        return ShareResult(self._measurement, summary.recorded - recorded, counted, summary.stop)

    def stop(self, decision: StopReason) -> None:
        """Start nothing new, in this load point or any other."""
        if self._runner is not None:
            self._runner.stop(decision)
        self._start_now()

    def cut_short(self, reason: str) -> None:
        """End the load point, by a condition of its own that another worker met."""
        if self._runner is not None:
            self._runner.cut_short(reason)

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        if self._runner is not None:
            self._runner.abandon()
        self._start_now()

    def close(self) -> None:
        """Seal what is recorded, and end."""
        self._closing.set()

    def _start_now(self) -> None:
        """Let a load point that waits for its start go on, which finds that it is stopped."""
        if self._start is not None and not self._start.done():
            reading = self.clock()
            self._start.set_result(ScheduleStart(reading.monotonic_s, reading.wall_ns))

    def _on_coordinator_lost(self, error: Exception) -> None:
        if self._lost_reason is None:
            self._lost_reason = str(error)
            if self._store is not None:
                self._store.coordinator_lost = True
            if self._runner is not None:
                self._runner.stop(StopReason(str(error), EXIT_STORAGE))
