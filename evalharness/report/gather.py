"""What a report is made from: the records a plan asks for, read, scored, priced and encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.frame import COLUMNS, WIDE, Frame
from evalharness.errors import ConfigError
from evalharness.pricing import PriceBook
from evalharness.pricing.columns import Costs, cost_columns
from evalharness.report import fate
from evalharness.report.load import Loaded, load_section
from evalharness.report.scoring import Options, price_book, scored_run, stored_config
from evalharness.scorers import Scored
from evalharness.store.asked import Asked
from evalharness.store.folder import CONFIG
from evalharness.store.run import Run
from evalharness.texts import Texts

if TYPE_CHECKING:
    import pyarrow as pa

# What scorers read beside what the analysis reads.
_SCORED = ("finish_reason",)
_PRICED = ("provider", "model")
_PHASED = ("measurement", "phase")

DEFAULTS = Options()


class Gathered(NamedTuple):
    """A run as its figures see it.

    Attributes:
        run: the run.
        settings, prompts, records: those that are reported, as Arrow tables; columns of outputs
            hold numbers of the frame's texts, columns without a value are left out.
        asked: the newest plan; None where everything is reported.
        outside: records the plan does not ask for.
        load: the load section.
        scored, book, costs: the judgements, the prices, and what the records cost by them.
        frame: the records encoded.
    """

    run: Run
    settings: pa.Table
    prompts: pa.Table
    records: pa.Table
    asked: Asked | None
    outside: int
    load: Loaded
    scored: Scored
    book: PriceBook
    costs: Costs
    frame: Frame


def gather(run: Run, options: Options = DEFAULTS) -> Gathered:
    """Read, score and price a run.

    Raises:
        ConfigError: the run has no records, or its scoring cannot be read.
    """
    settings, prompts = run.table("settings"), run.table("prompts")
    asked = None if options.everything else Asked(settings, prompts, run.manifest)
    config = stored_config(run)
    load = load_section(run, settings, config.load)
    texts = Texts()
    stored = run.snapshot("records")
    wide = stored.wide(WIDE)
    records = load.kept(stored.compact(_columns(), texts, numbered=wide is not None))
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
    scored = scored_run(run, records, prompts, options, texts)
    book = price_book(options, config)
    costs = cost_columns(records, book)
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
    return Gathered(
        run, settings, prompts, records, asked, held - len(records), load, scored, book, costs,
        frame,
    )  # fmt: skip


def _columns() -> list[str]:
    wanted = dict.fromkeys((*COLUMNS, *_SCORED, *_PRICED, *_PHASED, *fate.ERROR_COLUMNS))
    return [name for name in wanted if name not in WIDE]
