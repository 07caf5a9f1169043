"""Comparisons as a forest plot: one row a comparison, its difference and interval around 0."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.comparison_text import sides_text, stratum_text
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.sections.comparisons.words import REPORT, SUBTRACTION
from evalharness.report.words.format_numbers import time_unit

MAX_ROWS = 24
MAX_LABEL = 48  # characters of the name of a row
_TITLES = {
    "agreement": ("Same text", "difference (percentage points)"),
    "agreement_answer": ("Same answer", "difference (percentage points)"),
    "score": ("Score", "difference (percentage points)"),
    "latency_s": ("Latency", "difference (s)"),
    "completion_tokens": ("Output length", "difference (completion tokens)"),
    "cost_usd": ("Cost", "difference (US dollars per 1,000 requests)"),
}
_SHORT = {"temperature": "T"}  # as in the labels of settings
_PERCENT = 100.0
_SCALES = {"completion_tokens": 1.0, "cost_usd": 1000.0}


def forest_charts(comparisons: Sequence[Comparison]) -> list[Chart]:
    """One plot a metric: the first :data:`MAX_ROWS` comparisons, pooled ones before others."""
    charts: list[Chart] = []
    for metric, (title, axis) in _TITLES.items():
        rows = [row for row in comparisons if row.metric == metric and row.n]
        if any(row.difference for row in rows):
            charts.append(_plot(title, axis, metric, rows))
    return charts


def _plot(title: str, axis: str, metric: str, rows: Sequence[Comparison]) -> Chart:
    shown = sorted(rows, key=lambda row: not row.pooled)[:MAX_ROWS]
    scale = _SCALES.get(metric, _PERCENT)
    if metric == "latency_s":
        unit, scale = time_unit(max(abs(end) for row in shown for end in _ends(row)))
        axis = f"difference ({unit})"
    names = chart_parts.names_for([row_name(row) for row in shown], MAX_LABEL)
    values = [_datum(row, name, scale) for row, name in zip(shown, names, strict=True)]
    size = chart_parts.prompts_caption(row.n for row in shown)
    left_out = f"; {len(shown)} of {len(rows)} comparisons" if len(rows) > len(shown) else ""
    caption = (
        f"{size}; 95 % intervals; blue: detected, after adjustment for the number of comparisons; "
        f"band: too small to be detected here{left_out}"
    )
    return Chart(title, caption, _spec(values, names, axis), wide=True, scroll=True)


def _spec(values: list[Spec], names: list[str], axis: str) -> Spec:
    y = {
        "field": "name", "type": "nominal", "sort": names, "title": None,
        "scale": {"domain": names},
    }  # fmt: skip
    x = {"scale": {"padding": 8}}
    colour = {"field": "colour", "type": "nominal", "scale": None}
    return {
        "width": 270,
        "height": {"step": 23},
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "bar", "height": 15, "color": palette.BAND},
                "encoding": {
                    "y": y,
                    "x": chart_parts.quantity("not_seen", axis, **x),
                    "x2": {"field": "seen"},
                },
            },
            {"mark": {"type": "rule", "color": palette.RULE}, "encoding": {"x": {"datum": 0}}},
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "y": y,
                    "x": {"field": "low", "type": "quantitative"},
                    "x2": {"field": "high"},
                    "color": colour,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 46},
                "encoding": {"y": y, "x": chart_parts.quantity("value", axis), "color": colour},
            },
        ],
    }


def _datum(row: Comparison, name: str, scale: float) -> Spec:
    low, high = (end * scale for end in _ends(row))
    band = (row.mde or 0.0) * scale
    if scale == _PERCENT:
        low, high, band = max(-100.0, low), min(100.0, high), min(100.0, band)
    return {
        "name": name,
        "value": (row.difference or 0.0) * scale,
        "low": low,
        "high": high,
        "not_seen": -band,
        "seen": band,
        "colour": palette.DETECTED if row.is_detected else palette.OPEN,
    }


def _ends(row: Comparison) -> tuple[float, float]:
    """The ends of the interval; the difference twice where it is undefined."""
    if row.ci95 is None:
        return row.difference or 0.0, row.difference or 0.0
    return row.ci95[0], row.ci95[1]


def row_name(row: Comparison) -> str:
    """The sides of a comparison and where it was made, as short as possible."""
    sides = sides_text(row, SUBTRACTION)
    if row.pooled:
        return f"{sides}, pooled"
    if not row.stratum:
        return sides
    # Short names, because the last axis, which distinguishes the rows, would be cut off.
    short = {_SHORT.get(axis, axis): value for axis, value in row.stratum.items()}
    return f"{sides} at {stratum_text(short, REPORT)}"
