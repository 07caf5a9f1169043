"""What a report is made from: the records a plan asks for, read, scored, priced and encoded."""

from __future__ import annotations

import contextlib
import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.analysis.data.frame import COLUMNS, WIDE, Frame
from evalharness.columnar.row_store import Held
from evalharness.columnar.text_pool import Texts
from evalharness.errors import ConfigError
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import Costs, cost_columns
from evalharness.process.fork import can_fork
from evalharness.report.build import errors
from evalharness.report.build.load_points import Loaded, load_section
from evalharness.report.build.read_records import Reader
from evalharness.report.build.scoring import (
    Options,
    grader,
    price_book,
    scoring_facts,
    stored_config,
)
from evalharness.store.folder.current_plan import Asked
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import CONFIG

if TYPE_CHECKING:
    import pyarrow as pa

# What scorers read beside what the analysis reads.
_SCORED = ("finish_reason",)
_PRICED = ("provider", "model")
_PHASED = ("measurement", "phase")

DEFAULTS = Options()

ASIDE_FROM = 50_000  # records: what copies of the process save is more than what they cost


class Gathered(NamedTuple):
    """A run as its figures see it.

    Attributes:
        run: the run.
        settings, prompts: those that are reported, as Arrow tables.
        records: likewise; columns of outputs hold numbers of the frame's texts.
        asked: the newest plan; None where everything is reported.
        outside: records the plan does not ask for.
        load: the load section.
        scoring: what the judgements came to
            (:func:`~evalharness.report.build.scoring.scoring_facts`).
        book, costs: the prices, and what the records cost by them.
        frame: the records encoded.
    """

    run: Run
    settings: pa.Table
    prompts: pa.Table
    records: Held
    asked: Asked | None
    outside: int
    load: Loaded
    scoring: dict[str, Any]
    book: PriceBook
    costs: Costs
    frame: Frame


class Source(NamedTuple):
    """A run before its records are read.

    Attributes:
        run, options: as given.
        settings, prompts, asked, load, book: see :class:`Gathered`.
        aside: whether its records are so many that copies of this process share the work.
    """

    run: Run
    options: Options
    settings: pa.Table
    prompts: pa.Table
    asked: Asked | None
    load: Loaded
    book: PriceBook
    aside: bool


def opened(run: Run, options: Options = DEFAULTS) -> Source:
    """Read what a run says of itself, and the prices of now.

    Raises:
        ConfigError: its configuration or a price table cannot be read.
    """
    settings, prompts = run.table("settings"), run.table("prompts")
    config = stored_config(run)
    load, book = load_section(run, settings, config.load), price_book(options, config)
    asked = None if options.everything else Asked(settings, prompts, run.manifest)
    if asked is not None:
        settings, prompts = asked.settings, asked.prompts
    aside = run.manifest.recorded >= ASIDE_FROM and can_fork()
    return Source(run, options, settings, prompts, asked, load, book, aside)


def gather(run: Run, options: Options = DEFAULTS) -> Gathered:
    """Read, score and price a run.

    Raises:
        ConfigError: the run has no records, or its scoring cannot be read.
    """
    return gathered(opened(run, options))


def gathered(source: Source) -> Gathered:
    """Read, score and price the records of a run.

    Raises:
        ConfigError: there are none, or the run's scoring cannot be read.
    """
    run, settings, prompts, asked = source.run, source.settings, source.prompts, source.asked
    load, texts = source.load, Texts()
    stored = run.snapshot("records")
    wide = stored.wide(WIDE)
    reader = Reader(load, asked, texts, _columns())
    grading = grader(
        run, prompts, source.options, texts, reader.held.keys, stored, aside=source.aside
    )
    with grading:
        reader.read(stored, grading, numbered=wide is not None)
        records = reader.held
        _some(run, records, load)
        texts.close()
        costs = cost_columns(records, source.book)
        scored = grading.finished(records, prompts)
    _give_back()
    frame = Frame.build(
        records,
        prompts,
        settings,
        answers=scored.answers,
        scores=scored.scores,
        cost_usd=costs.cost_usd,
        texts=texts,
        wide=wide,
    )
    _give_back()
    return Gathered(
        run, settings, prompts, records, asked, reader.outside, load, scoring_facts(scored),
        source.book, costs, frame,
    )  # fmt: skip


def _give_back() -> None:
    """Give the system the memory that was needed on the way: a quarter of it at 10⁷ records.

    Arrow and the C library would keep it for later.
    """
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError, OSError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _some(run: Run, records: Held, load: Loaded) -> None:
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
    raise ConfigError(
        f"run `{run.name}` holds no records yet",
        hint="the command that made it, once more, sends what it asks for "
        f"(its configuration: {run.root / CONFIG})",
    )


def _columns() -> list[str]:
    wanted = dict.fromkeys((*COLUMNS, *_SCORED, *_PRICED, *_PHASED, *errors.ERROR_COLUMNS))
    return [name for name in wanted if name not in WIDE]
