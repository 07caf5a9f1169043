"""From run folders to one report: read, score, price, summarise.

Everything a report says is computed from stored facts by the scoring and the prices of *now*:
a new scorer or price needs no new request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.analysis.agreement.breakdowns import breakdowns
from evalharness.analysis.agreement.least_stable import least_stable
from evalharness.analysis.comparison.all_axes import along
from evalharness.analysis.comparison.leaders import leaders
from evalharness.analysis.data.frame import Frame
from evalharness.analysis.distributions import distributions, timeline
from evalharness.analysis.parameters.effects import effects
from evalharness.analysis.summary import summarise
from evalharness.process.fork import begun
from evalharness.records import canonical_json
from evalharness.report.build import errors
from evalharness.report.build.attempts import AttemptsTold, read_attempts
from evalharness.report.build.judges import judges
from evalharness.report.build.money import money, prices_used
from evalharness.report.build.open_run import DEFAULTS, Gathered, Source, gathered, opened
from evalharness.report.build.prompts import unstable_prompts
from evalharness.report.build.provenance import provenance
from evalharness.report.build.scoring import Options
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa


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
    source = opened(run, options)
    with begun(partial(_attempts, source), "reading attempts", forked=source.aside) as attempts:
        found = gathered(source)
        made = attempts.result()
    figures = _figures(source, found, made)
    facts = _run_facts(found, made)
    data: dict[str, Any] = {
        "run": {**facts, "notes": [*facts["notes"], *figures.pop("apart")]},
        "attempts": made.facts,
        **found.scoring,
        "judges": judges(run),
        "prices": prices_used(found.costs, found.book),
        "errors": errors.errors(found.records),
        "provenance": provenance(run, found.settings),
        "load": found.load.data,
        **figures,
    }
    return Built({name: data[name] for name in _ORDER}, found.frame, run)


def _attempts(source: Source) -> AttemptsTold:
    stored = source.run.snapshot("attempts")
    return read_attempts(stored, source.asked, source.settings, source.book)


class _Known(NamedTuple):
    """What the sections are made from: the run, its records, its attempts, the sections so far."""

    source: Source
    found: Gathered
    made: AttemptsTold
    sections: dict[str, Any]


def _figures(source: Source, found: Gathered, made: AttemptsTold) -> dict[str, Any]:
    """The sections that depend on the frame, half of them in a copy of this process.

    Of very many records each is made in a copy of its own, one after the other: what it held is
    given back when its copy ends.
    """
    known = _Known(source, found, made, {})
    if len(found.frame.rows) >= _MANY:
        for part in (*_HERE, *_BESIDE):
            with begun(partial(part, known), "figures", forked=source.aside) as copy:
                known.sections.update(copy.result())
        return known.sections
    with begun(partial(_all, _BESIDE, known), "figures", forked=source.aside) as rest:
        _all(_HERE, known)
        known.sections.update(rest.result())
    return known.sections


_Part = Callable[[_Known], dict[str, Any]]


def _all(parts: Sequence[_Part], known: _Known) -> dict[str, Any]:
    for part in parts:
        known.sections.update(part(known))
    return known.sections


def _along(known: _Known) -> dict[str, Any]:
    frame = known.found.frame
    found = along(frame, _varying(frame))
    apart = [f"nothing is compared along {axis}: {why}" for axis, why in found.apart.items()]
    return {"comparisons": found.comparisons, "trends": found.trends, "apart": apart}


def _unstable(known: _Known) -> dict[str, Any]:
    run, frame = known.found.run, known.found.frame
    rows = least_stable(frame)
    return {"least_stable": rows, "unstable_prompts": unstable_prompts(run, frame, rows)}


def _spent(known: _Known) -> dict[str, Any]:
    found = known.found
    spent = money(
        found.frame, found.costs, found.book, prompts=found.prompts, attempts=known.made.spent,
        settings=known.sections["settings"], volume=known.source.options.volume,
    )  # fmt: skip
    return {"money": spent}


_HERE: tuple[_Part, ...] = (
    _along,
    lambda known: {"breakdowns": breakdowns(known.found.frame)},
    lambda known: {"leaders": leaders(known.found.frame)},
    lambda known: {"timeline": timeline(known.found.frame)},
)
_BESIDE: tuple[_Part, ...] = (
    lambda known: summarise(known.found.frame),
    lambda known: {"effects": effects(known.found.frame, bodies=_bodies(known.found.run))},
    lambda known: {"distributions": distributions(known.found.frame)},
    _unstable,
    _spent,
)


def build_all(names: Sequence[str], options: Options) -> list[Built]:
    """Summarise several runs, in the order given."""
    return [build(Run.open(name), options) for name in names]


# The parts of a report, as they stand in its JSON.
_ORDER = (
    "run", "settings", "scorers", "answers", "comparisons", "trends", "effects", "judges",
    "least_stable", "breakdowns", "prices", "leaders", "distributions", "unstable_prompts",
    "timeline", "errors", "attempts", "provenance", "load", "money",
)  # fmt: skip
_MANY = 3_000_000  # records: from here on memory counts for more than time
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


def _run_facts(found: Gathered, made: AttemptsTold) -> dict[str, Any]:
    run, manifest = found.run, found.run.manifest
    return {
        "name": run.name,
        "status": manifest.status,
        "reason": manifest.reason,
        "created_at": manifest.created_at,
        "updated_at": manifest.updated_at,
        "code_version": manifest.code_version,
        "schema_version": manifest.schema_version,
        "planned": manifest.planned,
        "records": len(found.records),
        "settings": len(found.settings),
        "prompts": len(found.prompts),
        "prompts_with_target": len(found.prompts) - found.prompts["target_json"].null_count,
        "attempts": made.made,
        "attempts_in_doubt": made.in_doubt,
        "damaged_journal_entries": len(run.damage),
        "notes": manifest.notes,
        "records_outside_plan": found.outside,
    }
