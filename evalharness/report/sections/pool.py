"""The runs of a report that takes several of one plan as one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from evalharness.pricing.picodollars import pico_sum
from evalharness.pricing.price import to_usd
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.words.format_numbers import DASH, count_text, dollars
from evalharness.report.words.markdown_text import markdown_table
from evalharness.report.words.plain_table import PlainTable
from evalharness.store.folder.pooled_run import PooledRun

if TYPE_CHECKING:
    from rich.console import RenderableType

_NOTE = "Repeats are numbered from 0 over all runs, in the order of time."


class RunOfPool(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs that a report takes as one.

    Attributes:
        run: its name.
        first_sent_at: of its records, ISO 8601 in UTC; null where none has a time.
        first_repeat, last_repeat: numbers of its repeats among those of all runs; null where its
            plan has none.
        records: of its plan.
        known: those with a known cost.
        total_usd: US dollars of these, exact; null where none has one.
    """

    run: str
    first_sent_at: str | None
    first_repeat: int | None
    last_repeat: int | None
    records: int
    known: int
    total_usd: Decimal | None


def _build(context: BuildContext) -> list[RunOfPool] | None:
    run = context.run_data.run
    if not isinstance(run, PooledRun):
        return None
    frame, costs = context.run_data.frame, context.run_data.costs
    pico, known, sent_at = costs.pico[frame.rows], costs.known[frame.rows], frame.values("sent_at")
    rows: list[RunOfPool] = []
    for each, numbers in zip(run.runs, run.repeats, strict=True):
        end = numbers.first + numbers.count
        own = np.flatnonzero((frame.repeat >= numbers.first) & (frame.repeat < end))
        has_cost = own[known[own]]
        times = sent_at[own][~np.isnan(sent_at[own])]
        rows.append(
            RunOfPool(
                run=each.name,
                first_sent_at=_iso(float(times.min())) if len(times) else None,
                first_repeat=numbers.first if numbers.count else None,
                last_repeat=end - 1 if numbers.count else None,
                records=len(own),
                known=len(has_cost),
                total_usd=to_usd(pico_sum(pico[has_cost])) if len(has_cost) else None,
            )
        )
    return rows


def _iso(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def pool_table(runs: list[RunOfPool]) -> PlainTable:
    """A row a run."""
    rows = [
        [
            each.run,
            DASH if each.first_sent_at is None else each.first_sent_at[:10],
            _repeats(each),
            count_text(each.records),
            count_text(each.records - each.known) if each.records > each.known else DASH,
            dollars(each.total_usd),
        ]
        for each in runs
    ]
    headings = ["run", "date", "repeats", "records", "cost\nunknown", "cost"]
    return PlainTable("runs", headings, rows, text_headings=("date", "repeats"))


def _repeats(each: RunOfPool) -> str:
    if each.first_repeat is None or each.last_repeat is None:
        return DASH
    if each.first_repeat == each.last_repeat:
        return str(each.first_repeat)
    return f"{each.first_repeat}–{each.last_repeat}"


def _console(report: ReportData, width: int) -> ConsolePart:
    from evalharness.report.console.table_layout import fit_plain_table

    runs = report[POOLED]
    if runs is None:
        return ConsolePart([])
    table = pool_table(runs)
    items: list[str | RenderableType] = [*fit_plain_table(table, width)]
    return ConsolePart(items, [_NOTE])


def _markdown(report: ReportData) -> list[str]:
    runs = report[POOLED]
    if runs is None:
        return []
    table = pool_table(runs)
    return [markdown_table(table.headings, table.rows, table.text_headings), _NOTE]


def _view(context: PageContext) -> PlainTable | None:
    runs = context.report[POOLED]
    return None if runs is None else pool_table(runs)


POOLED: Section[list[RunOfPool] | None] = Section(
    "pooled",
    list[RunOfPool] | None,
    _build,
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="pooled",
        link="Runs",
        heading="The runs",
        template=f'<p class="note">{_NOTE}</p>{{{{ m.plain([view], run_argument) }}}}',
        view=_view,
    ),
    title="the runs that `report --together` takes as one; null for a single run",
)
