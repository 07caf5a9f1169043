"""From run folders to one report: read, score, price, summarise.

Everything a report says is computed from stored facts by the scoring and the prices of *now*:
a new scorer or price needs no new request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.analysis.breakdowns import breakdowns
from evalharness.analysis.compare import compare
from evalharness.analysis.distributions import distributions, timeline
from evalharness.analysis.effects import effects
from evalharness.analysis.frame import Frame
from evalharness.analysis.leaders import leaders
from evalharness.analysis.summary import summarise
from evalharness.analysis.trends import trends
from evalharness.analysis.unstable import least_stable
from evalharness.cores import cores
from evalharness.records import canonical_json
from evalharness.report import fate
from evalharness.report.attempts import AttemptsTold, read_attempts
from evalharness.report.gather import DEFAULTS, Gathered, gather
from evalharness.report.judges import judges
from evalharness.report.money import money, prices_used
from evalharness.report.prompts import unstable_prompts
from evalharness.report.provenance import provenance
from evalharness.report.scoring import Options
from evalharness.store.run import Run

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
    stored = run.snapshot("attempts")
    found = gather(run, options)
    facts = {
        **found.scoring,
        "judges": judges(run),
        "prices": prices_used(found.costs, found.book),
        "errors": fate.errors(found.records),
        "provenance": provenance(run, found.settings),
        "load": found.load.data,
    }

    def attempts() -> AttemptsTold:
        return read_attempts(stored, found.asked, found.settings, found.book)

    def spent(settings: list[dict[str, Any]], made: AttemptsTold) -> dict[str, Any]:
        return money(
            found.frame, found.costs, found.book, prompts=found.prompts, attempts=made.spent,
            settings=settings, volume=options.volume,
        )  # fmt: skip

    figures, made = _figures(found.frame, _bodies(run), attempts, spent)
    data: dict[str, Any] = {
        "run": {**_run_facts(found, made), "records_outside_plan": found.outside},
        "attempts": made.facts,
        **facts,
        **figures,
    }
    data["unstable_prompts"] = unstable_prompts(run, found.frame, data["least_stable"])
    return Built({name: data[name] for name in _ORDER}, found.frame, run)


def _figures(
    frame: Frame,
    bodies: pa.Table,
    attempts: Callable[[], AttemptsTold],
    spent: Callable[[list[dict[str, Any]], AttemptsTold], dict[str, Any]],
) -> tuple[dict[str, Any], AttemptsTold]:
    """The parts of a report that depend on nothing but the frame, side by side in a few threads.

    What they do most of the time, numpy does without the interpreter's lock. Attempts are read
    meanwhile.
    """
    axes = _varying(frame)

    def compared() -> dict[str, Any]:
        # One axis after the other, since they share their averages.
        return {
            "comparisons": [row for axis in axes for row in compare(frame, by=axis)],
            "trends": [row for axis in axes for row in trends(frame, by=axis)],
        }

    threads = _THREADS if len(frame.rows) < _MANY else 1
    with ThreadPoolExecutor(min(cores(), threads)) as pool:
        # The longest first.
        comparisons = pool.submit(compared)
        summary, made = pool.submit(summarise, frame), pool.submit(attempts)
        parts: dict[str, Future[Any]] = {
            "breakdowns": pool.submit(breakdowns, frame),
            "effects": pool.submit(effects, frame, bodies=bodies),
            "leaders": pool.submit(leaders, frame),
            "timeline": pool.submit(timeline, frame),
            "distributions": pool.submit(distributions, frame),
            "least_stable": pool.submit(least_stable, frame),
        }
        found = summary.result()
        parts["money"] = pool.submit(spent, found["settings"], made.result())
        figures = {name: part.result() for name, part in parts.items()}
        return {**found, **comparisons.result(), **figures}, made.result()


def build_all(names: Sequence[str], options: Options) -> list[Built]:
    """Summarise several runs, in the order given."""
    return [build(Run.open(name), options) for name in names]


# The parts of a report, as they stand in its JSON.
_ORDER = (
    "run", "settings", "scorers", "answers", "comparisons", "trends", "effects", "judges",
    "least_stable", "breakdowns", "prices", "leaders", "distributions", "unstable_prompts",
    "timeline", "errors", "attempts", "provenance", "load", "money",
)  # fmt: skip
_THREADS = 4  # at most: each holds some arrays of a number a record
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
    }
