"""``evalharness run`` with a load: point after point, each measured whole or not at all."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from msgspec import structs

from evalharness.cli.execution.connections import open_lanes, open_money
from evalharness.cli.execution.signals import draining
from evalharness.config.models import LimitsConfig, LoadConfig
from evalharness.errors import StorageError
from evalharness.planning.load_points import (
    OPEN_CONCURRENCY,
    expected_requests,
    load_of,
    load_points,
    measured_requests,
    replay_times,
)
from evalharness.records import Setting, Trial
from evalharness.runner import Stop, Summary
from evalharness.runner.benchmark import LoadRunner, Point
from evalharness.runner.progress import Progress, progress_for_terminal
from evalharness.store.folder.load_points_file import (
    Measurement,
    current,
    read_measurements,
    write_measurements,
)
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.disk_reserve import answer_bytes

if TYPE_CHECKING:
    from evalharness.cli.execution.prepare import Prepared


async def run_load(prepared: Prepared, store: RunStore) -> Summary:
    """Measure every load point that has not been measured; the store stays open.

    A load point is measured in one go. One that was interrupted is measured anew, with repeats
    that go on after the highest recorded; what had been sent stays in the folder, in no figure.
    """
    progress = progress_for_terminal()
    async with AsyncExitStack() as stack:
        stack.callback(progress.close)
        limits = _limits(prepared)
        lanes = await open_lanes(prepared, stack, progress, exactly=limits)
        money = open_money(prepared, store)
        store.start(in_flight=limits.concurrency, answer_bytes=answer_bytes(prepared.plan.settings))
        runner = LoadRunner(prepared.plan, store, lanes, money=money, progress=progress)
        bench = _Bench(prepared, store, runner, progress)
        with draining(runner, progress):
            await bench.run()
        return bench.summary


class _Bench:
    """The load points of a run, those measured before and those to come."""

    def __init__(
        self, prepared: Prepared, store: RunStore, runner: LoadRunner, progress: Progress
    ) -> None:
        self._plan = prepared.plan
        assert prepared.plan.config.load is not None
        self._judge: LoadConfig = prepared.plan.config.load
        self._store = store
        self._root = store.folder.root
        self._runner = runner
        self._progress = progress
        self._measurements = read_measurements(self._root)

    @property
    def summary(self) -> Summary:
        """What this session did."""
        return self._runner.summary

    async def run(self) -> None:
        points = load_points(self._plan.settings)
        counts = [self._to_send(settings) for settings in points]
        total = 0 if None in counts else sum(count or 0 for count in counts)
        self._progress.start(total=total, done=0, label=self._plan.config.name)
        began = asyncio.get_running_loop().time()
        for settings in points:
            if self.summary.stop is not None:
                self.summary.planned += self._expected(settings) or 1
            elif settings[0].load.get("search"):
                await self._search(settings)
            elif (before := self._finished(settings)) is None:
                await self._measure(settings, settings[0].load)
            else:
                self._count_recorded(before)
        self.summary.seconds = asyncio.get_running_loop().time() - began

    def _to_send(self, settings: Sequence[Setting]) -> int | None:
        """Requests that a load point still takes; None where only the measurement tells."""
        if settings[0].load.get("search"):
            return None
        return 0 if self._finished(settings) else self._expected(settings)

    # ── one load point ───────────────────────────────────────────────────────────────────────

    def _finished(self, settings: Sequence[Setting]) -> Measurement | None:
        """The measurement of this load point that counts, None when there is none yet."""
        ids, load = [s.setting_id for s in settings], settings[0].load
        return next(
            (m for m in current(self._measurements) if m.settings == ids and m.load == load), None
        )

    async def _measure(self, settings: Sequence[Setting], shape: dict[str, Any]) -> Measurement:
        number = 1 + max((m.number for m in self._measurements), default=0)
        searched = bool(shape.get("search"))
        into = Measurement(
            number=number,
            settings=[s.setting_id for s in settings],
            load=shape,
            searched=searched,
        )
        self._measurements.append(into)
        write_measurements(self._root, self._measurements)
        load = load_of(shape, self._judge)
        point = self._point(settings, load)
        before = self.summary.recorded
        try:
            await self._runner.measure(point, into)
            await self._store.journal.flush()
        except StorageError as error:
            self._runner.stop(Stop.because(error))
        finally:
            self._close(settings, into, before)
        if into.finished:
            self._say(self._described(into))
        return into

    def _say(self, found: dict[str, Any]) -> None:
        """Tell at once, and to the exit code, when a measurement does not count."""
        if found["invalid"]:
            self.summary.invalid_points += 1
            self._progress.say(f"measurement {found['measurement']} is INVALID:")
            for reason in found["invalid"]:
                self._progress.say(f"  {reason}")
        if found["state"] == "cut":
            self._progress.say(f"measurement {found['measurement']} cut short: {found['reason']}")

    def _close(self, settings: Sequence[Setting], into: Measurement, before: int) -> None:
        """Keep what became of a measurement, and count it: an unfinished one is all still to do."""
        write_measurements(self._root, self._measurements)
        done = self.summary.recorded - before
        self.summary.planned += done if into.finished else done + (self._expected(settings) or 1)

    def _point(self, settings: Sequence[Setting], load: LoadConfig) -> Point:
        plan = self._plan
        first = self._next_repeat(settings)
        if load.arrival == "replay":
            trace = replay_times(plan.prompts, load.column or "")
            trials: Iterator[Trial] = plan.rows(settings[0], first)
            return Point(load, trials, load.requests or len(trace), trace)
        trials = itertools.chain.from_iterable(
            plan.visit(settings, repeat) for repeat in itertools.count(first)
        )
        cells = len(plan.prompts) * len(settings)
        most = measured_requests(load, cells=cells, repeats=plan.config.repeats)
        return Point(load, trials, most)

    def _next_repeat(self, settings: Sequence[Setting]) -> int:
        """The first repeat no attempt of these settings has used."""
        mine = {s.setting_id for s in settings}
        table = Run.open(self._root).table("attempts", ["trial_id", "setting_id", "repeat"])
        names: list[Any] = table["setting_id"].to_pylist()
        repeats: list[Any] = table["repeat"].to_pylist()
        used = [r for name, r in zip(names, repeats, strict=True) if name in mine]
        return 1 + max(used, default=-1)

    def _expected(self, settings: Sequence[Setting]) -> int | None:
        return expected_requests(
            load_of(settings[0].load, self._judge),
            cells=len(self._plan.prompts) * len(settings),
            repeats=self._plan.config.repeats,
        )

    def _count_recorded(self, before: Measurement) -> None:
        table = Run.open(self._root).table("records", ["trial_id", "measurement"])
        count = table["measurement"].to_pylist().count(before.number)
        self.summary.planned += count
        self.summary.already_recorded += count

    # ── searching ────────────────────────────────────────────────────────────────────────────

    async def _search(self, settings: Sequence[Setting]) -> None:
        """Find the highest rate that holds; rates measured before are not measured again."""
        from evalharness.runner.benchmark.rate_search import Search

        shape = settings[0].load
        load = load_of(shape, self._judge)
        assert load.search is not None
        assert load.rate is not None
        search = Search(load.rate, load.search)
        while (rate := search.next_rate()) is not None and self.summary.stop is None:
            asked = {**shape, "rate": int(rate) if rate == int(rate) else rate}
            step = [structs.replace(s, load=asked) for s in settings]
            one = self._finished(step)
            if one is None:
                one = await self._measure(step, asked)
            else:
                self._count_recorded(one)
            if one.finished:
                self._judge_step(search, rate, one, load.search.goodput)
        if self.summary.stop is None:
            self._progress.say(search.outcome)

    def _judge_step(self, search: Any, rate: float, one: Measurement, goodput: float) -> None:
        found = self._described(one)
        from evalharness.report.build.load_points import holds

        good = holds(found, goodput)
        search.observe(rate, holds=good)
        share: float | None = found["goodput"] and found["goodput"]["share"]
        shown = "unknown" if share is None else f"{share:.1%}"
        verdict = "holds" if good else "does not hold"
        self._progress.say(f"{rate:g} requests/s: goodput {shown}, {verdict}")

    def _described(self, one: Measurement) -> dict[str, Any]:
        from evalharness.analysis.load.load_point import ATTEMPT_COLUMNS, RECORD_COLUMNS
        from evalharness.report.build.load_points import MeasuredRows, measure_one

        run = Run.open(self._root)
        records = MeasuredRows(run.snapshot("records"), RECORD_COLUMNS).of(one.number)
        attempts = MeasuredRows(run.snapshot("attempts"), ATTEMPT_COLUMNS).of(one.number)
        return measure_one(one, records, attempts, self._judge).facts


def _limits(prepared: Prepared) -> LimitsConfig:
    """The run's limits without those that would change a load: each point has its own places."""
    most = max(int(s.load.get("concurrency", OPEN_CONCURRENCY)) for s in prepared.plan.settings)
    limits = prepared.plan.config.limits
    return structs.replace(limits, concurrency=max(limits.concurrency, most), adaptive=False)
