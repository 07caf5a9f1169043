"""The tables of comparisons and trends on the page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.comparison_text import sides_text, stratum_text
from evalharness.analysis.comparison.trend import Trend
from evalharness.analysis.data.json_values import JsonValues
from evalharness.report.sections.comparisons.words import (
    REPORT,
    SUBTRACTION,
    detectable_text,
    interval_text,
    metric_noun,
    slope_texts,
    tally_text,
)
from evalharness.report.words.format_numbers import metric_difference, p_value

MAX_ROWS = 300  # of a table; `compare --json` has all


class ComparisonCells(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a comparison or trend, with the values its columns sort by.

    Attributes:
        what: is compared, or changes.
        where: the stratum, or what was pooled.
        size: the difference or slope, which ``sort`` sorts by.
        interval: of the size.
        p: adjusted, which ``p_sort`` sorts by.
        n: prompts.
        detected: whether p is below .05.
        metric: what is compared in.
        tally: prompts up, down and tied.
        detectable: the smallest detectable difference.
    """

    what: str
    where: str
    size: str
    sort: float | None
    interval: str
    p: str
    p_sort: float | None
    n: int
    detected: bool
    metric: str = ""
    tally: str = ""
    detectable: str = ""


class ComparisonTable(msgspec.Struct, frozen=True):
    """The first rows of a table, and the number of those left out."""

    rows: list[ComparisonCells]
    left_out: int


def comparison_table(comparisons: Sequence[Comparison]) -> ComparisonTable | None:
    """The comparisons, pooled ones first; None where there are none."""
    if not comparisons:
        return None
    ordered = sorted(comparisons, key=lambda row: not row.pooled)
    rows = [_comparison_cells(row) for row in ordered[:MAX_ROWS]]
    return ComparisonTable(rows, len(ordered) - len(rows))


def trend_table(trends: Sequence[Trend]) -> ComparisonTable | None:
    """The trends; None where there are none."""
    if not trends:
        return None
    rows = [_trend_cells(row) for row in trends[:MAX_ROWS]]
    return ComparisonTable(rows, len(trends) - len(rows))


def _comparison_cells(row: Comparison) -> ComparisonCells:
    pairs = f"pooled over {len(row.a_settings)} pairs"
    return ComparisonCells(
        metric=row.metric,
        what=sides_text(row, SUBTRACTION),
        where=pairs if row.pooled else _where(row.stratum),
        size=metric_difference(row.metric, row.difference, row.largest_figure),
        sort=row.difference,
        interval=interval_text(row) if row.n else "",
        p=p_value(row.deciding_p),
        p_sort=row.deciding_p,
        n=row.n,
        tally=tally_text(row, " / "),
        detectable=detectable_text(row, none="none", bound="≤\u00a0"),
        detected=row.is_detected,
    )


def _trend_cells(row: Trend) -> ComparisonCells:
    size, ends = slope_texts(row)
    return ComparisonCells(
        what=f"{metric_noun(row.metric)} per unit of {row.by}",
        where=_where(row.stratum),
        size=size,
        sort=row.slope,
        interval=ends if row.n else "",
        p=p_value(row.deciding_p),
        p_sort=row.deciding_p,
        n=row.n,
        detected=row.is_detected,
    )


def _where(stratum: JsonValues) -> str:
    return stratum_text(stratum, REPORT) or "all else equal"
