"""From run folders to one report: read, score, price, summarise.

Everything a report says is computed from stored facts by the scoring and the prices of *now*:
a new scorer or price needs no new request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.analysis.breakdowns import breakdowns
from evalharness.analysis.compare import compare
from evalharness.analysis.distributions import distributions, timeline
from evalharness.analysis.effects import effects
from evalharness.analysis.frame import COLUMNS, Frame
from evalharness.analysis.leaders import leaders
from evalharness.analysis.summary import summarise
from evalharness.analysis.trends import trends
from evalharness.analysis.unstable import least_stable
from evalharness.arrow import where_equal
from evalharness.errors import ConfigError
from evalharness.pricing.columns import cost_columns
from evalharness.records import canonical_json
from evalharness.report import fate
from evalharness.report.judges import judges
from evalharness.report.load import load_section
from evalharness.report.money import ATTEMPT_COLUMNS, money, prices_used
from evalharness.report.prompts import unstable_prompts
from evalharness.report.provenance import provenance
from evalharness.report.scoring import (
    Options,
    price_book,
    scored_run,
    scoring_facts,
    stored_config,
)
from evalharness.store.asked import Asked
from evalharness.store.folder import CONFIG
from evalharness.store.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

# What scorers read beside what the analysis reads.
_SCORED = ("finish_reason",)
_PRICED = ("provider", "model")
_PHASED = ("measurement", "phase")


DEFAULTS = Options()


class Built(NamedTuple):
    """A report before it is shown: the JSON of ``report --json``, and what it was made from."""

    data: dict[str, Any]
    frame: Frame
    run: Run


def build(run: Run, options: Options = DEFAULTS) -> Built:
    """Summarise one run.

    Raises:
        ConfigError: the run has no records, or its scoring cannot be read.
    """
    settings, prompts = run.table("settings"), run.table("prompts")
    asked = None if options.everything else Asked(settings, prompts, run.manifest)
    config = stored_config(run)
    load = load_section(run, settings, config.load)
    records = load.kept(run.table("records", _columns()))
    held = len(records)
    if asked is not None:
        settings, prompts, records = asked.settings, asked.prompts, asked.rows(records)
    if not len(records) and load.data is not None:
        raise ConfigError(
            f"no load point of run `{run.name}` was measured to its end",
            hint="the same evalharness run measures what is left",
        )
    if not len(records):
        raise ConfigError(
            f"run `{run.name}` holds no records yet",
            hint="the command that made it, once more, sends what it asks for "
            f"(its configuration: {run.root / CONFIG})",
        )
    scored = scored_run(run, records, prompts, options)
    book = price_book(options, config)
    costs = cost_columns(records, book)
    frame = Frame.build(
        records,
        prompts,
        settings,
        answers=scored.answers,
        scores=scored.scores,
        cost_usd=costs.cost_usd,
    )
    unstable = least_stable(frame)
    axes = _varying(frame)
    data: dict[str, Any] = {
        "run": {
            **_run_facts(run, records, settings, prompts),
            "records_outside_plan": held - len(records),
        },
        **summarise(frame),
        **scoring_facts(scored),
        "comparisons": [row for axis in axes for row in compare(frame, by=axis)],
        "trends": [row for axis in axes for row in trends(frame, by=axis)],
        "effects": effects(frame, bodies=_bodies(run)),
        "judges": judges(run),
        "least_stable": unstable,
        "breakdowns": breakdowns(frame),
        "prices": prices_used(costs, book),
        "leaders": leaders(frame),
        "distributions": distributions(frame),
        "unstable_prompts": unstable_prompts(run, frame, unstable),
        "timeline": timeline(frame),
        "errors": fate.errors(records),
        "attempts": fate.attempts(run.table("attempts", list(fate.ATTEMPT_COLUMNS))),
        "provenance": provenance(run, settings),
        "load": load.data,
    }
    attempts = run.table("attempts", list(dict.fromkeys((*ATTEMPT_COLUMNS, *_CELL))))
    data["money"] = money(
        frame,
        costs,
        book,
        prompts=prompts,
        attempts=attempts if asked is None else asked.rows(attempts),
        settings=data["settings"],
        volume=options.volume,
    )
    return Built(data, frame, run)


def build_all(names: Sequence[str], options: Options) -> list[Built]:
    """Summarise several runs, in the order given."""
    return [build(Run.open(name), options) for name in names]


# What tells whether the plan asks for a row.
_CELL = ("prompt_id", "setting_id", "repeat")
# Bodies are read for what was sent and echoed; a sample says as much as all of them.
_SAMPLED_BODIES = 2_000


def _varying(frame: Frame) -> list[str]:
    """Name the axes to compare along, each against its lowest or first value."""
    axes: dict[str, set[bytes]] = {}
    for index in range(len(frame.setting_ids)):
        for name, value in frame.axes(index).items():
            axes.setdefault(name, set()).add(canonical_json(value))
    return [name for name, values in axes.items() if len(values) > 1]


def _bodies(run: Run) -> pa.Table:
    columns = ["setting_id", "request_json", "response_json", "choices_json"]
    return run.sample("records", columns, _SAMPLED_BODIES)


def _columns() -> list[str]:
    return list(dict.fromkeys((*COLUMNS, *_SCORED, *_PRICED, *_PHASED, *fate.ERROR_COLUMNS)))


def _run_facts(
    run: Run, records: pa.Table, settings: pa.Table, prompts: pa.Table
) -> dict[str, Any]:
    manifest = run.manifest
    attempts = run.table("attempts", ["trial_id", "outcome"])
    return {
        "name": run.name,
        "status": manifest.status,
        "reason": manifest.reason,
        "created_at": manifest.created_at,
        "updated_at": manifest.updated_at,
        "code_version": manifest.code_version,
        "schema_version": manifest.schema_version,
        "planned": manifest.planned,
        "records": len(records),
        "settings": len(settings),
        "prompts": len(prompts),
        "prompts_with_target": len(prompts) - prompts["target_json"].null_count,
        "attempts": len(attempts),
        "attempts_in_doubt": len(where_equal(attempts, "outcome", "in_doubt")),
        "damaged_journal_entries": len(run.damage),
        "notes": manifest.notes,
    }
