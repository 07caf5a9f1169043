"""Rows of the page's tables of comparisons and trends."""

from __future__ import annotations

from typing import Any

from evalharness.report.words.differences import (
    is_real,
    metric_noun,
    sides_text,
    slope_texts,
    stratum_text,
)
from evalharness.report.words.format_numbers import (
    detectable_difference,
    difference_interval,
    largest_figure,
    metric_difference,
    p_value,
)

Row = dict[str, Any]


def comparison_row(row: Row) -> Row:
    """The texts of a comparison of ``report --json``, with the values its columns sort by."""
    metric, largest = row["metric"], largest_figure(row)
    pairs = len(row["a_settings"])
    return {
        "metric": metric,
        "what": sides_text(row),
        "where": f"pooled over {pairs} pairs" if row["pooled"] else _where(row["stratum"]),
        "difference": metric_difference(metric, row["difference"], largest),
        "sort": row["difference"],
        "interval": difference_interval(metric, row["ci95"], largest) if row["n"] else "",
        "p": p_value(row["p_adjusted"]),
        "p_sort": row["p_adjusted"],
        "n": row["n"],
        "tally": f"{row['wins']} / {row['losses']} / {row['ties']}",
        "detectable": detectable_difference(row),
        "real": is_real(row),
    }


def trend_row(row: Row) -> Row:
    """The texts of a trend of ``report --json``, likewise."""
    size, ends = slope_texts(row)
    return {
        "what": f"{metric_noun(row['metric'])} per unit of {row['by']}",
        "where": _where(row["stratum"]),
        "slope": size,
        "sort": row["slope"],
        "interval": ends if row["n"] else "",
        "p": p_value(row["p_adjusted"]),
        "p_sort": row["p_adjusted"],
        "n": row["n"],
        "real": is_real(row),
    }


def _where(stratum: Row) -> str:
    return stratum_text(stratum) or "all else equal"
