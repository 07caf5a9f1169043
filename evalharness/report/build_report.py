"""Building a report: read a run, score and price its records, compute every section.

Everything in a report is computed from stored records by the current scoring and prices, so that a
new scorer or price needs no new request.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from evalharness.analysis.data.frame import RunFrame
from evalharness.process.fork import start_task
from evalharness.report.build.attempts import AttemptStats, read_attempts
from evalharness.report.build.context import BuildContext
from evalharness.report.build.open_run import DEFAULTS, RunSource, open_source, read_source
from evalharness.report.build.scoring import ReportOverrides
from evalharness.report.registry import SECTIONS
from evalharness.report.section import ReportData, Section
from evalharness.store.folder.pooled_run import PooledRun
from evalharness.store.folder.run import Run

_FORK_EACH_FROM_RECORDS = 3_000_000  # records: from here on memory matters more than time


class Report(NamedTuple):
    """The data of ``report --json``, and the run and frame it was computed from."""

    data: ReportData
    frame: RunFrame
    run: Run


def build_report(run: Run, overrides: ReportOverrides = DEFAULTS) -> Report:
    """Summarise one run.

    Raises:
        ConfigError: the run has no records, or its scoring cannot be read.
    """
    source = open_source(run, overrides)
    reading = partial(_attempts, source)
    with start_task(reading, "reading attempts", use_fork=source.use_forks) as task:
        run_data = read_source(source)
        attempts = task.result()
    context = BuildContext(source, run_data, attempts, {}, {})
    _build_from_frame(context)
    context.sections.update(_build_sections(_of_stage("light"), context))
    ordered = {s.key: context.sections[s.key] for s in SECTIONS if s.build is not None}
    location = [each.location for each in run.runs] if isinstance(run, PooledRun) else run.location
    return Report(ReportData(ordered, location=location), run_data.frame, run)


def build_reports(names: Sequence[str], overrides: ReportOverrides) -> list[Report]:
    """Summarise several runs, in the order given."""
    return [build_report(Run.open(name), overrides) for name in names]


def _attempts(source: RunSource) -> AttemptStats:
    stored = source.run.snapshot("attempts")
    only = source.overrides.settings
    return read_attempts(stored, source.plan_filter, source.settings, source.book, only)


def _of_stage(stage: str) -> list[Section[Any]]:
    return [section for section in SECTIONS if section.stage == stage]


def _build_from_frame(context: BuildContext) -> None:
    """Build the sections computed from the frame, half of them in a fork of this process.

    Of very many records each task is done in a fork of its own, one after the other: the memory
    that it takes is free when its fork ends.
    """
    forked = context.source.use_forks
    if len(context.run_data.frame.rows) >= _FORK_EACH_FROM_RECORDS:
        staged = [*_of_stage("process"), *_of_stage("fork")]
        for _, sections in groupby(staged, key=lambda section: section.task):
            build = partial(_build_sections, list(sections), context)
            with start_task(build, "figures", use_fork=forked) as task:
                context.sections.update(task.result())
        return
    build = partial(_build_sections, _of_stage("fork"), context)
    with start_task(build, "figures", use_fork=forked) as task:
        built = _build_sections(_of_stage("process"), context)
        context.sections.update(built)
        context.sections.update(task.result())


def _build_sections(sections: Sequence[Section[Any]], context: BuildContext) -> dict[str, Any]:
    """Build some sections; each may read those before it."""
    built: dict[str, Any] = {}
    for section in sections:
        if section.build is not None:
            built[section.key] = context.sections[section.key] = section.build(context)
    context.shared.clear()
    return built
