"""The data of a run that a report is computed from: records read, scored, priced and encoded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from evalharness.analysis.data.frame import COLUMNS, LAZY_COLUMNS, RunFrame
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.analysis.load.measured_requests import request_cells
from evalharness.columnar.record_store import RecordStore
from evalharness.errors import ConfigError
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import CostColumns, cost_columns
from evalharness.process.fork import can_fork
from evalharness.process.text import plural
from evalharness.process.tuning import release_free_memory
from evalharness.report.build import errors
from evalharness.report.build.field_groups import field_values
from evalharness.report.build.load_points import LoadSection, load_section
from evalharness.report.build.read_records import RecordReader
from evalharness.report.build.scoring import (
    ReportOverrides,
    ScoringCounts,
    open_scorer,
    read_price_book,
    scoring_counts,
)
from evalharness.scoring import Scorer
from evalharness.scoring.label_classes import RunLabels
from evalharness.store.folder.annotations import Annotations, read_annotations
from evalharness.store.folder.current_plan import PlanFilter, only_settings
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import CONFIG
from evalharness.store.journal.batch_files import waiting_batches

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
        labels: the classes that targets name; None where they are no labels.
        annotations: the marks and notes of people.
        scorers: those of ``scores`` of the frame, by label.
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
    labels: RunLabels | None = None
    annotations: Annotations = Annotations([])
    scorers: Mapping[str, Scorer] = MappingProxyType({})


class RunSource(NamedTuple):
    """A run before its records are read.

    Attributes:
        run, overrides: as given.
        settings, prompts, plan_filter, load, book: see :class:`RunData`.
        use_forks: whether there are so many records that forks of this process share the work.
        group_values: of the field that the report is grouped by, by prompt; None without one.
    """

    run: Run
    overrides: ReportOverrides
    settings: pa.Table
    prompts: pa.Table
    plan_filter: PlanFilter | None
    load: LoadSection
    book: PriceBook
    use_forks: bool
    group_values: dict[str, list[str | None]] | None


def open_source(run: Run, overrides: ReportOverrides = DEFAULTS) -> RunSource:
    """Read a run's plan, load points and configuration, and the current prices.

    Raises:
        ConfigError: its configuration or a price table cannot be read, its prompts are lost, or no
            prompt has the field that the report is grouped by.
    """
    settings, prompts = run.table("settings"), run.table("prompts")
    settings = only_settings(settings, overrides.settings)
    config = next(run.configs())
    load = load_section(run, settings, config.load, config.servers())
    book = read_price_book(overrides, config)
    if run.manifest.recorded and not len(prompts):
        raise _not_listed_error(run, run.manifest.recorded)
    plan_filter = None
    if not overrides.include_inactive:
        plan_filter = PlanFilter(run.table("settings"), prompts, run.manifest)
        plan_filter.settings = only_settings(plan_filter.settings, overrides.settings)
        settings, prompts = plan_filter.settings, plan_filter.prompts
    use_forks = run.manifest.recorded >= FORK_FROM_RECORDS and can_fork()
    group_by = overrides.group_by
    groups = None if group_by is None else field_values(prompts, group_by, config.columns())
    return RunSource(run, overrides, settings, prompts, plan_filter, load, book, use_forks, groups)


def open_run(run: Run, overrides: ReportOverrides = DEFAULTS) -> RunData:
    """Read, score and price a run.

    Raises:
        ConfigError: the run has no records, or its scoring cannot be read.
    """
    return read_source(open_source(run, overrides))


def read_source(source: RunSource, *, numbered: bool = False) -> RunData:
    """Read, score and price the records of a run.

    Args:
        source: the run.
        numbered: the frame has the column ``row``, the number of each record in the snapshot.

    Raises:
        ConfigError: there are none, or the run's scoring cannot be read.
    """
    run, settings, prompts, load = source.run, source.settings, source.prompts, source.load
    stored = run.snapshot("records")
    lazy_columns = stored.lazy_columns(LAZY_COLUMNS)
    annotations = read_annotations(run.root)
    columns = _record_columns(marked=bool(annotations.rows))
    only = source.overrides.settings
    reader = RecordReader(load, source.plan_filter, columns, only)
    records = reader.records
    with open_scorer(
        run, prompts, source.overrides, records, stored, annotations, use_fork=source.use_forks
    ) as scorer:
        reader.read(stored, scorer, numbered=numbered or lazy_columns is not None)
        _require_records(run, records, load, reader.outside, only)
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
        answer_texts=None if scores.answers is None else scores.answers.dictionary,
    )
    if load.requests:
        cells = request_cells(frame, load.requests)
        frame = structs.replace(frame, request_cells=cells, rates=load.rates)
    release_free_memory()
    return RunData(
        run, settings, prompts, records, source.plan_filter, reader.outside, load,
        scoring_counts(scores), source.book, costs, frame, scores.labels, annotations,
        scores.scorers,
    )  # fmt: skip


def _require_records(
    run: Run, records: RecordStore, load: LoadSection, outside: int, only: Sequence[str]
) -> None:
    """Refuse a run without records.

    Raises:
        ConfigError: it has none.
    """
    if len(records):
        return
    if load.data is not None and not only:
        raise ConfigError(
            f"no load point of run `{run.name}` was measured to its end",
            hint="the same evalharness run measures what is left",
        )
    if outside:
        raise _not_listed_error(run, outside)
    if only:
        raise ConfigError(
            f"the chosen settings of run `{run.name}` have no records yet",
            hint="without a choice of settings the report is of all of them",
        )
    if waiting := waiting_batches(run.root):
        raise ConfigError(
            f"run `{run.name}` holds no records yet: its requests are in "
            f"{plural(len(waiting), 'batch', 'batches')} at the provider",
            hint="the command that sent them, once more, fetches the answers",
        )
    configured = (run.root / CONFIG).exists()
    raise ConfigError(
        f"run `{run.name}` holds no records yet",
        hint="the command that made it, once more, sends what it asks for"
        + (f" (its configuration: {run.root / CONFIG})" if configured else ""),
    )


def require_plan(run: Run) -> None:
    """Refuse a run whose records cannot be shown: its tables of prompts or settings are lost.

    Raises:
        ConfigError: there are records, and no prompt or no setting is listed.
    """
    recorded = run.manifest.recorded
    if recorded and not (len(run.table("settings")) and len(run.table("prompts"))):
        raise _not_listed_error(run, recorded)


def _not_listed_error(run: Run, records: int) -> ConfigError:
    return ConfigError(
        f"run `{run.name}` has {records:,} records, and none is of the settings and prompts that "
        "its folder lists",
        hint=_way_back(run),
    )


def _way_back(run: Run) -> str:
    lost = [f"{t}.parquet" for t in ("prompts", "settings") if not len(run.table(t))]
    if lost and run.manifest.status == "imported":
        return f"rm -r {shlex.quote(str(run.root))}, and the same evalharness import makes it again"
    if lost:
        return (
            f"the same evalharness run, once more, writes {' and '.join(lost)} again; what is "
            "recorded is not sent again"
        )
    return f"evalharness report {shlex.quote(run.location)} --all shows them"


def _record_columns(*, marked: bool) -> list[str]:
    """The columns to read; ``marked``: trials are to be known one by one, which takes memory."""
    columns = (*COLUMNS, *_SCORING_COLUMNS, *_PRICE_COLUMNS, *_LOAD_COLUMNS, *errors.ERROR_COLUMNS)
    columns = (*columns, "trial_id") if marked else columns
    return [name for name in dict.fromkeys(columns) if name not in LAZY_COLUMNS]
