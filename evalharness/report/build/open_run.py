"""The data of a run that a report is computed from: records read, scored, priced and encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.data.frame import COLUMNS, LAZY_COLUMNS, RunFrame
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.columnar.record_store import RecordStore
from evalharness.errors import ConfigError
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import CostColumns, cost_columns
from evalharness.process.fork import can_fork
from evalharness.process.tuning import release_free_memory
from evalharness.report.build import errors
from evalharness.report.build.load_points import LoadSection, load_section
from evalharness.report.build.read_records import RecordReader
from evalharness.report.build.scoring import (
    ReportOverrides,
    ScoringCounts,
    open_scorer,
    read_price_book,
    scoring_counts,
)
from evalharness.store.folder.current_plan import PlanFilter
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import CONFIG

if TYPE_CHECKING:
    import pyarrow as pa

# Columns that scorers read in addition to those of the analysis.
_SCORING_COLUMNS = ("finish_reason",)
_PRICE_COLUMNS = ("provider", "model")
_LOAD_COLUMNS = ("measurement", "phase")

DEFAULTS = ReportOverrides()

FORK_FROM_RECORDS = 50_000  # from here on forks save more time than they cost


class RunData(NamedTuple):
    """A run that has been read, with its scores and costs.

    Attributes:
        run: the run.
        settings, prompts: the reported ones, as Arrow tables.
        records: the reported ones.
        plan_filter: selects the rows of the newest plan; None where everything is reported.
        outside: how many records are not in the plan.
        load: the load section.
        scoring: how many records were scored.
        book, costs: the prices, and what the records cost by them.
        frame: the records encoded.
    """

    run: Run
    settings: pa.Table
    prompts: pa.Table
    records: RecordStore
    plan_filter: PlanFilter | None
    outside: int
    load: LoadSection
    scoring: ScoringCounts
    book: PriceBook
    costs: CostColumns
    frame: RunFrame


class RunSource(NamedTuple):
    """A run before its records are read.

    Attributes:
        run, overrides: as given.
        settings, prompts, plan_filter, load, book: see :class:`RunData`.
        use_forks: whether there are so many records that forks of this process share the work.
    """

    run: Run
    overrides: ReportOverrides
    settings: pa.Table
    prompts: pa.Table
    plan_filter: PlanFilter | None
    load: LoadSection
    book: PriceBook
    use_forks: bool


def open_source(run: Run, overrides: ReportOverrides = DEFAULTS) -> RunSource:
    """Read a run's plan, load points and configuration, and the current prices.

    Raises:
        ConfigError: its configuration or a price table cannot be read.
    """
    settings, prompts = run.table("settings"), run.table("prompts")
    config = next(run.configs())
    load, book = load_section(run, settings, config.load), read_price_book(overrides, config)
    plan_filter = None
    if not overrides.include_inactive:
        plan_filter = PlanFilter(settings, prompts, run.manifest)
        settings, prompts = plan_filter.settings, plan_filter.prompts
    use_forks = run.manifest.recorded >= FORK_FROM_RECORDS and can_fork()
    return RunSource(run, overrides, settings, prompts, plan_filter, load, book, use_forks)


def open_run(run: Run, overrides: ReportOverrides = DEFAULTS) -> RunData:
    """Read, score and price a run.

    Raises:
        ConfigError: the run has no records, or its scoring cannot be read.
    """
    return read_source(open_source(run, overrides))


def read_source(source: RunSource) -> RunData:
    """Read, score and price the records of a run.

    Raises:
        ConfigError: there are none, or the run's scoring cannot be read.
    """
    run, settings, prompts, load = source.run, source.settings, source.prompts, source.load
    stored = run.snapshot("records")
    lazy_columns = stored.lazy_columns(LAZY_COLUMNS)
    reader = RecordReader(load, source.plan_filter, _record_columns())
    records = reader.records
    with open_scorer(
        run, prompts, source.overrides, records, stored, use_fork=source.use_forks
    ) as scorer:
        reader.read(stored, scorer, numbered=lazy_columns is not None)
        _require_records(run, records, load, reader.outside)
        records.texts.close()
        costs = cost_columns(records, source.book)
        scores = scorer.finish()
    release_free_memory()
    frame = build_frame(
        records,
        prompts,
        settings,
        answers=scores.answer_codes,
        scores=scores.scores,
        cost_usd=costs.cost_usd,
        lazy_columns=lazy_columns,
    )
    release_free_memory()
    return RunData(
        run, settings, prompts, records, source.plan_filter, reader.outside, load,
        scoring_counts(scores), source.book, costs, frame,
    )  # fmt: skip


def _require_records(run: Run, records: RecordStore, load: LoadSection, outside: int) -> None:
    """Refuse a run without records.

    Raises:
        ConfigError: it has none.
    """
    if len(records):
        return
    if load.data is not None:
        raise ConfigError(
            f"no load point of run `{run.name}` was measured to its end",
            hint="the same evalharness run measures what is left",
        )
    if outside:
        raise ConfigError(
            f"run `{run.name}` has {outside:,} records, and none is of the settings and prompts "
            "that its folder lists",
            hint=f"evalharness verify {run.root} says what is damaged; report --all shows the rest",
        )
    raise ConfigError(
        f"run `{run.name}` holds no records yet",
        hint="the command that made it, once more, sends what it asks for "
        f"(its configuration: {run.root / CONFIG})",
    )


def _record_columns() -> list[str]:
    columns = (*COLUMNS, *_SCORING_COLUMNS, *_PRICE_COLUMNS, *_LOAD_COLUMNS, *errors.ERROR_COLUMNS)
    return [name for name in dict.fromkeys(columns) if name not in LAZY_COLUMNS]
