"""``evalharness run`` with a load: one load point after the other, each measured as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import structs

from evalharness.cli.execution.connections import open_budget, open_endpoints
from evalharness.cli.execution.run_distributed import run_load_on_ray
from evalharness.cli.execution.server_metrics import reading_metrics
from evalharness.cli.execution.signals import Stoppable, stop_on_signals
from evalharness.config.models import LimitsConfig, LoadConfig
from evalharness.errors import StorageError
from evalharness.planning.knee_search import SweepStep, step_text
from evalharness.planning.load_points import (
    OPEN_LOOP_CONCURRENCY,
    expected_requests,
    group_by_load_point,
    load_from_identity,
)
from evalharness.planning.replay_extent import replay_extent
from evalharness.planning.sweep_steps import step_load
from evalharness.records import Setting
from evalharness.runner import RunSummary, StopReason
from evalharness.runner.benchmark import LoadPointTask, LoadRunner
from evalharness.runner.context import RunContext
from evalharness.runner.progress import Progress, progress_for_terminal
from evalharness.store.folder.load_points_file import (
    Measurement,
    current_measurements,
    read_measurements,
    write_measurements,
)
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.disk_reserve import expected_answer_bytes

if TYPE_CHECKING:
    from evalharness.analysis.load.load_facts import LoadFacts
    from evalharness.cli.execution.prepare import PreparedRun
    from evalharness.planning.rate_search import RateSearch


async def run_benchmark(prepared: PreparedRun, store: RunStore) -> RunSummary:
    """Measure every load point that has not been measured; the store stays open.

    A load point is measured in one go. One that was interrupted is measured anew, with repeats
    that go on after the highest recorded; what had been sent stays in the folder, in no figure.
    """
    progress = progress_for_terminal()
    async with AsyncExitStack() as stack:
        stack.callback(progress.close)
        on_ray = prepared.plan.config.execution.engine == "ray"
        opened = run_load_on_ray if on_ray else _in_this_process
        async with opened(prepared, store, progress, _limits(prepared)) as runner:
            benchmark = _Benchmark(prepared, store, runner, progress)
            with stop_on_signals(runner, progress):
                await benchmark.run()
        return benchmark.summary


class PointRunner(Stoppable, Protocol):
    """Measures load points, in this process or in others."""

    summary: RunSummary

    async def measure_point(self, point: LoadPointTask, measurement: Measurement) -> None:
        """Measure one; see :meth:`~evalharness.runner.benchmark.LoadRunner.measure`."""
        ...


@asynccontextmanager
async def _in_this_process(
    prepared: PreparedRun, store: RunStore, progress: Progress, limits: LimitsConfig
) -> AsyncGenerator[PointRunner]:
    async with AsyncExitStack() as stack:
        endpoints = await open_endpoints(prepared, stack, progress, exact_limits=limits)
        await stack.enter_async_context(
            reading_metrics(prepared.plan.config, store, endpoints, progress)
        )
        budget = open_budget(prepared, store)
        store.start(
            in_flight=limits.concurrency, answer_bytes=expected_answer_bytes(prepared.plan.settings)
        )
        yield LoadRunner(RunContext(prepared.plan, store, endpoints, budget, progress))


class _Benchmark:
    """The load points of a run: those measured already, and those still to measure."""

    def __init__(
        self, prepared: PreparedRun, store: RunStore, runner: PointRunner, progress: Progress
    ) -> None:
        self._plan = prepared.plan
        assert prepared.plan.config.load is not None
        self._load: LoadConfig = prepared.plan.config.load
        self._store = store
        self._root = store.folder.root
        self._runner = runner
        self._progress = progress
        self._measurements = read_measurements(self._root)

    @property
    def summary(self) -> RunSummary:
        """What this session did."""
        return self._runner.summary

    async def run(self) -> None:
        points = group_by_load_point(self._plan.settings)
        counts = [self._requests_to_send(settings) for settings in points]
        total = 0 if None in counts else sum(count or 0 for count in counts)
        self._progress.start(total=total, done=0, label=self._plan.config.name)
        start = asyncio.get_running_loop().time()
        for settings in points:
            if self.summary.stop is not None:
                self.summary.planned += self._expected_requests(settings) or 1
            elif settings[0].load.get("search"):
                await self._search(settings)
            elif settings[0].load.get("sweep"):
                await self._sweep(settings)
            elif (measurement := self._valid_measurement(settings)) is None:
                await self._measure(settings, settings[0].load)
            else:
                self._count_recorded(measurement)
        self.summary.seconds = asyncio.get_running_loop().time() - start

    def _requests_to_send(self, settings: Sequence[Setting]) -> int | None:
        """Requests that a load point still needs; None where only the measurement can tell."""
        if settings[0].load.get("search") or settings[0].load.get("sweep"):
            return None
        return 0 if self._valid_measurement(settings) else self._expected_requests(settings)

    # ── one load point ───────────────────────────────────────────────────────────────────────

    def _valid_measurement(self, settings: Sequence[Setting]) -> Measurement | None:
        """The valid measurement of this load point; None when there is none yet."""
        ids, load = [s.setting_id for s in settings], settings[0].load
        return next(
            (
                m
                for m in current_measurements(self._measurements)
                if m.settings == ids and m.load == load
            ),
            None,
        )

    async def _measure(self, settings: Sequence[Setting], shape: dict[str, Any]) -> Measurement:
        number = 1 + max((m.number for m in self._measurements), default=0)
        searched = bool(shape.get("search") or shape.get("sweep"))
        measurement = Measurement(
            number=number,
            settings=[s.setting_id for s in settings],
            load=shape,
            searched=searched,
        )
        self._measurements.append(measurement)
        write_measurements(self._root, self._measurements)
        load = load_from_identity(shape, self._load)
        point = LoadPointTask(load, settings, self._next_repeat(settings))
        before = self.summary.recorded
        try:
            await self._runner.measure_point(point, measurement)
            await self._store.journal.flush()
        except StorageError as error:
            self._runner.stop(StopReason.from_error(error))
        finally:
            self._store_result(settings, measurement, before)
        if measurement.is_finished:
            self._print_validity(self._measured_facts(measurement))
        return measurement

    def _print_validity(self, facts: LoadFacts) -> None:
        """Print when a measurement is invalid or cut short; the exit code says so too."""
        if facts.invalid:
            self.summary.invalid_points += 1
            self._progress.print_line(f"measurement {facts.measurement} is INVALID:")
            for reason in facts.invalid:
                self._progress.print_line(f"  {reason}")
        if facts.state == "cut":
            self._progress.print_line(f"measurement {facts.measurement} cut short: {facts.reason}")

    def _store_result(
        self, settings: Sequence[Setting], measurement: Measurement, before: int
    ) -> None:
        """Store the result of a measurement, and count it; an unfinished one stays planned."""
        write_measurements(self._root, self._measurements)
        done = self.summary.recorded - before
        self.summary.planned += (
            done if measurement.is_finished else done + (self._expected_requests(settings) or 1)
        )

    def _next_repeat(self, settings: Sequence[Setting]) -> int:
        """The first repeat that no attempt of these settings has used."""
        setting_ids = {s.setting_id for s in settings}
        table = Run.open(self._root).table("attempts", ["trial_id", "setting_id", "repeat"])
        names: list[Any] = table["setting_id"].to_pylist()
        repeats: list[Any] = table["repeat"].to_pylist()
        used = [r for name, r in zip(names, repeats, strict=True) if name in setting_ids]
        return 1 + max(used, default=-1)

    def _expected_requests(self, settings: Sequence[Setting]) -> int | None:
        load = load_from_identity(settings[0].load, self._load)
        if (extent := replay_extent(self._plan, load)) is not None:
            return extent.requests
        return expected_requests(
            load,
            cells=self._plan.cells(settings),
            repeats=self._plan.config.repeats,
            turns=self._plan.turns_per_session,
        )

    def _count_recorded(self, measurement: Measurement) -> None:
        table = Run.open(self._root).table("records", ["trial_id", "measurement"])
        count = table["measurement"].to_pylist().count(measurement.number)
        self.summary.planned += count
        self.summary.already_recorded += count

    # ── searching ────────────────────────────────────────────────────────────────────────────

    async def _search(self, settings: Sequence[Setting]) -> None:
        """Find the highest rate that meets the goal; a rate is measured only once."""
        from evalharness.planning.rate_search import RateSearch

        shape = settings[0].load
        load = load_from_identity(shape, self._load)
        assert load.search is not None
        assert load.rate is not None
        search = RateSearch(load.rate, load.search)
        while (rate := search.next_rate()) is not None and self.summary.stop is None:
            measurement = await self._measure_step(
                settings, step_load(shape, SweepStep("rate", rate))
            )
            if measurement.is_finished:
                self._report_step(search, rate, measurement, load.search.goodput)
        if self.summary.stop is None:
            self._progress.print_line(search.outcome)

    async def _measure_step(self, settings: Sequence[Setting], load: dict[str, Any]) -> Measurement:
        """Measure a step of a search or a sweep, unless it has been measured."""
        step = [structs.replace(s, load=load) for s in settings]
        measurement = self._valid_measurement(step)
        if measurement is None:
            return await self._measure(step, load)
        self._count_recorded(measurement)
        return measurement

    async def _sweep(self, settings: Sequence[Setting]) -> None:
        """Find idle, knee and saturation; a load is measured only once."""
        from evalharness.planning.knee_search import KneeSearch
        from evalharness.report.build.rate_search.sweep_outcome import step_result

        shape = settings[0].load
        load = load_from_identity(shape, self._load)
        assert load.sweep is not None
        search = KneeSearch(load.sweep)
        while (step := search.next_step()) is not None and self.summary.stop is None:
            measurement = await self._measure_step(settings, step_load(shape, step))
            if measurement.is_finished:
                result = step_result(self._measured_facts(measurement), load.max_error_share)
                search.observe(step, result)
                self._progress.print_line(step_text(step, result, search.holds(result)))

    def _report_step(
        self, search: RateSearch, rate: float, measurement: Measurement, goodput: float
    ) -> None:
        facts = self._measured_facts(measurement)
        holds = facts.meets_goodput(goodput)
        search.observe(rate, holds=holds)
        share = None if facts.goodput is None else facts.goodput.share
        shown = "unknown" if share is None else f"{share:.1%}"
        verdict = "holds" if holds else "does not hold"
        if holds is None:
            verdict = "not measured: the client could not hold this load, or no request was due"
        self._progress.print_line(f"{rate:g} requests/s: goodput {shown}, {verdict}")

    def _measured_facts(self, measurement: Measurement) -> LoadFacts:
        from evalharness.analysis.load.load_point import ATTEMPT_COLUMNS, RECORD_COLUMNS
        from evalharness.report.build.load_points import MeasurementRows, measure_rows

        run = Run.open(self._root)
        records = MeasurementRows(run.snapshot("records"), RECORD_COLUMNS).read(measurement.number)
        attempts = MeasurementRows(run.snapshot("attempts"), ATTEMPT_COLUMNS).read(
            measurement.number
        )
        return measure_rows(measurement, records, attempts, self._load).facts


def _limits(prepared: PreparedRun) -> LimitsConfig:
    """The run's limits without those that would change a load: each point has its own slots."""
    maximum = max(
        int(s.load.get("concurrency", OPEN_LOOP_CONCURRENCY)) for s in prepared.plan.settings
    )
    limits = prepared.plan.config.limits
    return structs.replace(limits, concurrency=max(limits.concurrency, maximum), adaptive=False)
