"""Building a report: read a run, score and price its records, compute every section.

Everything in a report is computed from stored records by the current scoring and prices, so that a
new scorer or price needs no new request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.analysis.agreement.breakdowns import breakdowns
from evalharness.analysis.agreement.least_stable import least_stable
from evalharness.analysis.comparison.all_axes import compare_all_axes
from evalharness.analysis.comparison.leaders import leaders
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.distributions import distributions, timeline
from evalharness.analysis.parameters.effects import effects
from evalharness.analysis.summary import summarise
from evalharness.process.fork import start_task
from evalharness.records import canonical_json
from evalharness.report.build import errors
from evalharness.report.build.attempts import AttemptStats, read_attempts
from evalharness.report.build.judges import judges_section
from evalharness.report.build.money import money_section, prices_used
from evalharness.report.build.open_run import DEFAULTS, RunData, RunSource, open_source, read_source
from evalharness.report.build.prompts import unstable_prompts
from evalharness.report.build.provenance import provenance
from evalharness.report.build.scoring import ReportOverrides
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa


class Report(NamedTuple):
    """The JSON of ``report --json`` as ``data``, and the run and frame it was computed from."""

    data: dict[str, Any]
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
    sections = _frame_sections(_Context(source, run_data, attempts, {}))
    facts = _run_facts(run_data, attempts)
    data: dict[str, Any] = {
        "run": {**facts, "notes": [*facts["notes"], *sections.pop("not_comparable")]},
        "attempts": attempts.facts,
        **run_data.scoring,
        "judges": judges_section(run),
        "prices": prices_used(run_data.costs, run_data.book),
        "errors": errors.count_errors(run_data.records),
        "provenance": provenance(run, run_data.settings),
        "load": run_data.load.data,
        **sections,
    }
    return Report({name: data[name] for name in _SECTION_ORDER}, run_data.frame, run)


def _attempts(source: RunSource) -> AttemptStats:
    stored = source.run.snapshot("attempts")
    return read_attempts(stored, source.plan_filter, source.settings, source.book)


class _Context(NamedTuple):
    """What section builders read: the run, its records and attempts, the sections so far."""

    source: RunSource
    run_data: RunData
    attempts: AttemptStats
    sections: dict[str, Any]


def _frame_sections(context: _Context) -> dict[str, Any]:
    """The sections computed from the frame, half of them in a fork of this process.

    Of very many records each section is computed in a fork of its own, one after the other: the
    memory that it takes is free when its fork ends.
    """
    forked = context.source.use_forks
    if len(context.run_data.frame.rows) >= _FORK_EACH_FROM_RECORDS:
        for builder in (*_IN_PROCESS, *_IN_FORK):
            with start_task(partial(builder, context), "figures", use_fork=forked) as task:
                context.sections.update(task.result())
        return context.sections
    with start_task(
        partial(_build_sections, _IN_FORK, context), "figures", use_fork=forked
    ) as task:
        _build_sections(_IN_PROCESS, context)
        context.sections.update(task.result())
    return context.sections


_SectionBuilder = Callable[[_Context], dict[str, Any]]


def _build_sections(builders: Sequence[_SectionBuilder], context: _Context) -> dict[str, Any]:
    for builder in builders:
        context.sections.update(builder(context))
    return context.sections


def _comparisons(context: _Context) -> dict[str, Any]:
    frame = context.run_data.frame
    compared = compare_all_axes(frame, _varying_axes(frame))
    notes = [
        f"nothing is compared along {axis}: {why}" for axis, why in compared.not_comparable.items()
    ]
    return {
        "comparisons": compared.comparisons,
        "trends": compared.trends,
        "not_comparable": notes,
    }


def _unstable_prompts(context: _Context) -> dict[str, Any]:
    run, frame = context.run_data.run, context.run_data.frame
    rows = least_stable(frame)
    return {"least_stable": rows, "unstable_prompts": unstable_prompts(run, frame, rows)}


def _money(context: _Context) -> dict[str, Any]:
    run_data = context.run_data
    section = money_section(
        run_data.frame,
        run_data.costs,
        run_data.book,
        prompts=run_data.prompts,
        attempts=context.attempts.spending,
        settings=context.sections["settings"],
        volume=context.source.overrides.volume,
    )
    return {"money": section}


_IN_PROCESS: tuple[_SectionBuilder, ...] = (
    _comparisons,
    lambda context: {"breakdowns": breakdowns(context.run_data.frame)},
    lambda context: {"leaders": leaders(context.run_data.frame)},
    lambda context: {"timeline": timeline(context.run_data.frame)},
)
_IN_FORK: tuple[_SectionBuilder, ...] = (
    lambda context: summarise(context.run_data.frame, context.run_data.costs),
    lambda context: {
        "effects": effects(context.run_data.frame, bodies=_bodies(context.run_data.run))
    },
    lambda context: {"distributions": distributions(context.run_data.frame)},
    _unstable_prompts,
    _money,
)


def build_reports(names: Sequence[str], overrides: ReportOverrides) -> list[Report]:
    """Summarise several runs, in the order given."""
    return [build_report(Run.open(name), overrides) for name in names]


# The sections in the order of the JSON.
_SECTION_ORDER = (
    "run", "settings", "scorers", "answers", "comparisons", "trends", "effects", "judges",
    "least_stable", "breakdowns", "prices", "leaders", "distributions", "unstable_prompts",
    "timeline", "errors", "attempts", "provenance", "load", "money",
)  # fmt: skip
_FORK_EACH_FROM_RECORDS = 3_000_000  # records: from here on memory matters more than time
# Bodies are read for what was sent and echoed; a sample shows as much as all of them.
_MAX_BODIES = 2_000


def _varying_axes(frame: RunFrame) -> list[str]:
    """Return the axes that have more than one value."""
    axes: dict[str, set[bytes]] = {}
    for index in range(len(frame.setting_ids)):
        for name, value in frame.axes(index).items():
            axes.setdefault(name, set()).add(canonical_json(value))
    return [name for name, values in axes.items() if len(values) > 1]


def _bodies(run: Run) -> pa.Table:
    columns = ["setting_id", "request_json", "response_json", "choices_json"]
    return run.sample("records", columns, _MAX_BODIES)


def _run_facts(run_data: RunData, attempts: AttemptStats) -> dict[str, Any]:
    run, manifest = run_data.run, run_data.run.manifest
    return {
        "name": run.name,
        "status": manifest.status,
        "reason": manifest.reason,
        "created_at": manifest.created_at,
        "updated_at": manifest.updated_at,
        "code_version": manifest.code_version,
        "schema_version": manifest.schema_version,
        "planned": manifest.planned,
        "records": len(run_data.records),
        "settings": len(run_data.settings),
        "prompts": len(run_data.prompts),
        "prompts_with_target": len(run_data.prompts) - run_data.prompts["target_json"].null_count,
        "attempts": attempts.total,
        "attempts_in_doubt": attempts.in_doubt,
        "damaged_journal_entries": len(run.damage),
        "notes": manifest.notes,
        "records_outside_plan": run_data.outside,
    }
