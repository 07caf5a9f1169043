"""The driver of a benchmark on several workers: one schedule, one clock."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.distributed.benchmark.clock_offset import (
    ClockExchange,
    ClockOffset,
    ClockReading,
    clock_offset,
)
from evalharness.distributed.benchmark.shares import (
    ScheduleStart,
    ShareOfPoint,
    ShareResult,
    merge_shares,
    worker_clock,
)
from evalharness.distributed.driver import Driver
from evalharness.distributed.driver_summary import add_worker
from evalharness.distributed.messages import CoordinatorLostError, WorkerDone, WorkerFailed
from evalharness.distributed.round_setup import DistributedTask, coordinator_setup, worker_setup
from evalharness.errors import EXIT_STORAGE, StorageError
from evalharness.process import session_clock
from evalharness.records import Outcome
from evalharness.runner.benchmark.point import LoadPointTask
from evalharness.runner.benchmark.point_plan import LoadShare
from evalharness.runner.progress import Progress
from evalharness.runner.run_summary import StopReason
from evalharness.store.folder.load_points_file import Measurement, MeasurementState
from evalharness.store.folder.writer import RunStore

if TYPE_CHECKING:
    from evalharness.distributed.actors import Cluster

# From the last answer about a clock to the schedule's zero: the start must have arrived by then.
_LEAD_S = 0.3
_EXCHANGES = 9


class _Prepared(NamedTuple):
    name: str
    actor: Any
    work: ShareOfPoint


class LoadDriver(Driver):
    """Measures load points on workers, each with its share of every schedule.

    There is no second try within a session: without one of its workers a load is another load.

    Args:
        task, store, cluster, progress: as of :class:`~evalharness.distributed.driver.Driver`.
    """

    def __init__(
        self, task: DistributedTask, store: RunStore, cluster: Cluster, progress: Progress
    ) -> None:
        super().__init__(task, store, cluster, progress)
        cluster.measures_load = True
        self.summary.planned = 0  # a benchmark's is known when it is measured
        self._recorded_before = 0
        self._statuses_before: Counter[str] = Counter()
        self._ends: dict[str, asyncio.Task[WorkerDone | WorkerFailed | None]] = {}
        self._updates: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[LoadDriver]:
        """Inside, workers are there; afterwards all that they recorded is in the run folder."""
        import numpy as np

        self._store.start()
        await self._store.seal()  # records of an earlier session, before parts are numbered
        self._store.recovery.finals.clear()
        manifest = self._store.folder.manifest
        self._recorded_before = manifest.recorded
        self._statuses_before = Counter(manifest.by_status)
        done = np.zeros(len(self._plan), dtype=np.bool_)
        setup = coordinator_setup(self._task, self._store, done, has_ledger=False)
        self._coordinator = self._cluster.start_coordinator(setup)
        self._pool.set_round(
            self._coordinator, worker_setup(self._task, self._store, done, self._recovery.earlier)
        )
        self._updates = asyncio.create_task(self._watch_coordinator())
        try:
            for _ in range(self._execution.workers):
                task, name = self._pool.start()
                self._ends[name] = task
            await asyncio.gather(*(self._wait_until_open(name) for name in self._ends))
            yield self
        finally:
            await self._end_workers()

    async def _wait_until_open(self, name: str) -> None:
        actor, end = self._pool.actors[name], self._ends[name]
        opened = asyncio.create_task(self._ask(actor, "wait_until_open"))
        await asyncio.wait({opened, end}, return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if not end.done():
            return
        result = end.result()
        if isinstance(result, WorkerFailed):
            self.stop(StopReason(result.message, result.exit_code, hint=result.hint))
        else:
            self._worker_lost(name)

    def stop(self, decision: StopReason) -> None:
        """Let no worker start anything new; the first decision stays, unless the disk fails."""
        super().stop(decision)
        for actor in self._pool.actors.values():
            self._call_in_background(self._ask(actor, "stop", decision))

    # ── one load point ───────────────────────────────────────────────────────────────────────

    async def measure_point(self, point: LoadPointTask, measurement: Measurement) -> None:
        """Measure one load point; ``measurement`` is completed in place.

        Its state is ``interrupted`` where the run is being stopped, or a worker is lost.
        """
        if self.summary.stop is not None:
            measurement.state = MeasurementState.INTERRUPTED
            return
        prepared = self._shares(point, measurement)
        await asyncio.gather(*(self._ask(p.actor, "prepare", p.work) for p in prepared))
        before = await asyncio.gather(*(self._clock_offset(p.actor) for p in prepared))
        now = _clocks()
        start = ScheduleStart(now.monotonic_s + _LEAD_S, now.wall_ns + round(_LEAD_S * 1e9))
        measurement.anchor_ns = start.wall_ns
        results = await asyncio.gather(
            *(
                self._measure_share(p, None if offset is None else _on(start, offset), prepared)
                for p, offset in zip(prepared, before, strict=True)
            )
        )
        after = await asyncio.gather(*(self._clock_offset(p.actor) for p in prepared))
        measurement.clocks = [
            worker_clock(p.name, first, last)
            for p, first, last in zip(prepared, before, after, strict=True)
            if first is not None
        ]
        merge_shares(measurement, [r.measurement for r in results if r is not None])
        if None in results or (self.summary.stop is not None and not measurement.is_finished):
            measurement.state = MeasurementState.INTERRUPTED
        if None in results:
            await self._end_workers()  # what the lost one had recorded is counted then

    def _shares(self, point: LoadPointTask, measurement: Measurement) -> list[_Prepared]:
        """What each worker sends; of a small closed loop fewer workers have a place."""
        actors = list(self._pool.actors.items())
        if point.load.arrival == "closed":
            actors = actors[: point.load.concurrency or 1]
        return [
            _Prepared(name, actor, ShareOfPoint(point, LoadShare(index, len(actors)), measurement))
            for index, (name, actor) in enumerate(actors)
        ]

    async def _measure_share(
        self, prepared: _Prepared, start: ScheduleStart | None, others: list[_Prepared]
    ) -> ShareResult | None:
        """Let one worker measure its share; None when it is lost."""
        result: ShareResult | None = None
        if start is not None:
            result = await self._ask(prepared.actor, "measure", start)
        if result is None:
            self._worker_lost(prepared.name)
            return None
        self.summary.recorded += result.recorded
        self.summary.by_status.update(result.by_status)
        if result.stop is not None:
            self.stop(result.stop)
        elif result.measurement.state is MeasurementState.CUT:
            reason = result.measurement.reason or ""
            calls = [self._ask(o.actor, "cut_short", reason) for o in others if o is not prepared]
            await asyncio.gather(*calls)
        return result

    def _worker_lost(self, name: str) -> None:
        if self.summary.stop is None:
            self._progress.print_line(f"{name} is lost")
        self.stop(
            StopReason(
                f"{name} was lost, and without it the load is another",
                EXIT_STORAGE,
                hint="look at memory and disk of the machines (ray logs), then run it again: "
                "this load point is measured anew",
            )
        )

    async def _clock_offset(self, actor: Any) -> ClockOffset | None:
        """How far a worker's clocks are ahead; None when it is lost."""
        exchanges: list[ClockExchange] = []
        for _ in range(_EXCHANGES):
            sent = _clocks()
            theirs = await self._ask(actor, "clock")
            if theirs is None:
                return None
            exchanges.append(ClockExchange(sent, theirs, _clocks()))
        return clock_offset(exchanges)

    async def _ask(self, actor: Any, name: str, *args: Any) -> Any:
        """Call a worker's method; None when it is lost."""
        try:
            return await self._cluster.ask(actor, name, *args)
        except ConnectionError:
            return None

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    async def _watch_coordinator(self) -> None:
        """List parts and show progress until the coordinator is lost, which stops the run."""
        try:
            await self._process_updates()
        except CoordinatorLostError as error:
            self.stop(StopReason(error.message, EXIT_STORAGE))

    async def _end_workers(self) -> None:
        """Let workers seal and end, and take over what lost ones have left. Again: nothing."""
        ends, self._ends = self._ends, {}
        if self._updates is None:
            return
        await asyncio.gather(*(self._ask(self._pool.actors[name], "close") for name in ends))
        for name, end in ends.items():
            result = await end
            if isinstance(result, WorkerDone):
                add_worker(self.summary, result)
                if result.stop is not None and result.stop.exit_code == EXIT_STORAGE:
                    self.summary.set_stop(result.stop)
            self._cluster.kill(self._pool.remove(name))
        updates, self._updates = self._updates, None
        updates.cancel()
        await asyncio.gather(updates, *self._background, return_exceptions=True)
        with suppress(CoordinatorLostError):
            await self._process_update()
        for name, end in ends.items():
            await self._recover(name, was_lost=end.result() is None)
        self._cluster.kill(self._coordinator)
        self._coordinator = None
        manifest, finals = self._store.folder.manifest, self._store.recovery.finals
        summary = self.summary
        summary.recorded = manifest.recorded - self._recorded_before + len(finals)
        summary.by_status = Counter(manifest.by_status)
        summary.by_status.subtract(self._statuses_before)
        summary.by_status.update(final.reply.status.value for final in finals)

    async def _recover(self, name: str, *, was_lost: bool) -> None:
        try:
            work = await self._recovery.recover(name)
        except StorageError as error:  # all stays where it is, for the next session
            self._storage_failed(error)
            return
        if was_lost:
            outcomes = [attempt.reply.outcome for attempt in work.results]
            self.summary.sent += len(outcomes) - outcomes.count(Outcome.NOT_SENT)


def _clocks() -> ClockReading:
    return ClockReading(time.monotonic(), session_clock.now_ns())


def _on(start: ScheduleStart, offset: ClockOffset) -> ScheduleStart:
    """The same moment, on the monotonic clock of a worker."""
    return start._replace(monotonic_s=start.monotonic_s + offset.monotonic_s)
