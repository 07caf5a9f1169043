"""The words of comparisons and trends in a report: those of the JSON in the report's spelling."""

from __future__ import annotations

from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.comparison_text import Spelling, bounds_text, stratum_text
from evalharness.analysis.comparison.trend import Trend
from evalharness.analysis.data.json_values import JsonValues
from evalharness.analysis.data.metrics import RATE_METRICS
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import (
    DASH,
    difference_interval,
    metric_difference,
    metric_size,
    parameter_text,
    slope_interval,
)

#: ``temperature 1 against 0 at seed 42``.
REPORT = Spelling(
    sides="{by} {a} against {b}",
    pooled="mean of {} pairs of settings",
    link=" ",
    value=parameter_text,
    difference=metric_difference,
    interval=difference_interval,
)
#: ``temperature 1 − 0``: what is subtracted from what.
SUBTRACTION = REPORT._replace(sides="{by} {a} − {b}")

_METRIC_ORDER = (
    "agreement", "agreement_answer", "score", "latency_s", "completion_tokens", "cost_usd",
    "ttft_s", "tpot_s", "itl_s", "goodput", "error_share", *RATE_METRICS,
)  # fmt: skip
_NOUNS = {
    "agreement": "same text", "agreement_answer": "same answer", "score": "score",
    "latency_s": "latency", "completion_tokens": "output length", "cost_usd": "cost",
    "ttft_s": "first token", "tpot_s": "time per token", "itl_s": "gap between chunks",
    "goodput": "goodput", "error_share": "error share", "throughput_per_s": "throughput",
    "output_tokens_per_s": "output tokens", "saturation_per_s": "saturation",
}  # fmt: skip


def metric_rank(row: Comparison | Trend) -> tuple[int, str]:
    """The sort key of a row: by metric, the most asked for first, then by axis."""
    metric = row.metric
    order = _METRIC_ORDER.index(metric) if metric in _METRIC_ORDER else len(_METRIC_ORDER)
    return order, row.by


def metric_noun(metric: str) -> str:
    """What a metric measures, in words; the name of one that is not known here."""
    return _NOUNS.get(metric, metric)


def side_noun(metric: str) -> str:
    """As :func:`metric_noun`; of agreement, that it is the one of each side with itself.

    ``same text: equal`` would read as if both sides gave the same text.
    """
    within = " within each side" if metric.startswith("agreement") else ""
    return f"{metric_noun(metric)}{within}"


def row_label(row: Comparison) -> str:
    """``latency at 1, seed 42``: the row of a table of comparisons."""
    where = f"{parameter_text(row.a_value)}{stratum_suffix(row.stratum)}"
    return f"{metric_noun(row.metric)} at {where}"


def stratum_suffix(stratum: JsonValues) -> str:
    """The values of the other axes, to be appended; empty where there is none."""
    return f", {stratum_text(stratum, REPORT)}" if stratum else ""


def change_text(metric: str, difference: float, size: str) -> str:
    """What a difference or slope of some size means: ``answers take 1.2 s longer``."""
    more = difference > 0
    often = "more" if more else "less"
    phrases = {
        "agreement": f"the same text {size} {often} often",
        "agreement_answer": f"the same answer {size} {often} often",
        "latency_s": f"answers take {size} {'longer' if more else 'less'}",
        "ttft_s": f"the first token takes {size} {'longer' if more else 'less'}",
        "tpot_s": f"each further token takes {size} {'longer' if more else 'less'}",
        "itl_s": f"gaps between chunks are {size} {'longer' if more else 'shorter'}",
        "goodput": f"limits are met {size} {often} often",
        "error_share": f"requests fail {size} {often} often",
        "completion_tokens": f"outputs are {size} {'longer' if more else 'shorter'}",
        "throughput_per_s": f"throughput is {size} {'higher' if more else 'lower'}",
        "output_tokens_per_s": f"output is {size} {'faster' if more else 'slower'}",
        "cost_usd": f"a request costs {size} {often}",
    }
    return phrases.get(metric, f"{metric} {size} {'higher' if more else 'lower'}")


def prompts_text(row: Comparison) -> str:
    """``12 prompts``: the number of prompts, or of what else is compared."""
    if row.unit == "search":
        return f"{plural(row.n, 'load point')} a search"
    return plural(row.n, "prompt") if row.unit == "prompt" else f"{row.n} stretches of time"


def tally_text(row: Comparison, separator: str) -> str:
    """Prompts up, down and tied; a dash for rates, which no prompt has."""
    counts = (row.wins, row.losses, row.ties)
    return DASH if None in counts else separator.join(map(str, counts))


def interval_text(row: Comparison) -> str:
    """The interval of a difference, in the unit in which the difference is shown."""
    if row.ci95 is None and row.is_underpowered:
        return "[too few prompts for an interval]"
    if row.unit == "search":
        return f"({bounds_text(row)})"
    return difference_interval(row.metric, row.ci95, row.largest_figure)


def size_text(row: Comparison, size: float | None = None) -> str:
    """The size of the difference, or of another figure of the comparison, without its sign."""
    shown = row.difference if size is None else size
    return metric_size(row.metric, shown or 0.0, row.largest_figure)


def detectable_text(row: Comparison, *, none: str, bound: str = "") -> str:
    """The smallest difference a comparison would have found, with its unit; a dash if unknown.

    Args:
        row: the comparison.
        none: the text where any difference would be missed.
        bound: stands before a figure that is only a bound.
    """
    if row.is_underpowered:
        return none
    if row.mde is None:
        return DASH
    return (bound if row.mde_from == "bound" else "") + size_text(row, row.mde)


def slope_texts(row: Trend) -> tuple[str, str]:
    """A trend's slope, signed and with its unit, and its interval in the same unit."""
    largest = row.largest_figure
    return (
        metric_difference(row.metric, row.slope, largest),
        slope_interval(row.metric, row.ci95, largest),
    )
