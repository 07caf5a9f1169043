"""Rows of the page's tables of comparisons and trends."""

from __future__ import annotations

from typing import Any

from evalharness.report.words import format_numbers as n
from evalharness.report.words.differences import is_real, noun_of, slope_of

Row = dict[str, Any]


def comparison_row(row: Row) -> Row:
    """A comparison of ``report --json`` in words, with what its columns are sorted by."""
    metric, beside = row["metric"], n.largest_of(row)
    size = len(row["a_settings"])
    return {
        "metric": metric,
        "what": f"{row['by']} {n.parameter(row['a_value'])} − {n.parameter(row['b_value'])}",
        "where": f"pooled over {size} pairs" if row["pooled"] else _where(row["stratum"]),
        "difference": n.difference_of(metric, row["difference"], beside),
        "sort": row["difference"],
        "interval": n.difference_interval(metric, row["ci95"], beside) if row["n"] else "",
        "p": n.p_value(row["p_adjusted"]),
        "p_sort": row["p_adjusted"],
        "n": row["n"],
        "tally": f"{row['wins']} / {row['losses']} / {row['ties']}",
        "detectable": n.detectable(row),
        "real": is_real(row),
    }


def trend_row(row: Row) -> Row:
    """A trend of ``report --json`` in the same way."""
    size, ends = slope_of(row)
    return {
        "what": f"{noun_of(row['metric'])} per unit of {row['by']}",
        "where": _where(row["stratum"]),
        "slope": size,
        "sort": row["slope"],
        "interval": ends if row["n"] else "",
        "p": n.p_value(row["p_adjusted"]),
        "p_sort": row["p_adjusted"],
        "n": row["n"],
        "real": is_real(row),
    }


def _where(stratum: Row) -> str:
    return ", ".join(f"{k} {n.parameter(v)}" for k, v in stratum.items()) or "all else equal"
