"""Comparisons as a forest plot: one row a comparison, its difference and interval around 0."""

from __future__ import annotations

from typing import Any

from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.words.differences import is_real, sides_text, stratum_text
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
_SCALES = {"completion_tokens": 1.0, "cost_usd": 1000.0}


def forest_charts(data: Row) -> list[Chart]:
    """One plot a metric: the first :data:`MAX_ROWS` comparisons, pooled ones before others."""
    charts: list[Chart] = []
    for metric, (title, axis) in _TITLES.items():
        rows = [row for row in data["comparisons"] if row["metric"] == metric and row["n"]]
        if any(row["difference"] for row in rows):
            charts.append(_plot(title, axis, metric, rows))
    return charts


def _plot(title: str, axis: str, metric: str, rows: list[Row]) -> Chart:
    shown = sorted(rows, key=lambda row: not row["pooled"])[:MAX_ROWS]
    scale = _SCALES.get(metric, 100.0)
    if metric == "latency_s":
        ends = [abs(end) for row in shown for end in row["ci95"] or [row["difference"]]]
        unit, scale = time_unit(max(ends))
        axis = f"difference ({unit})"
    names = chart_parts.names_for([row_name(row) for row in shown], MAX_LABEL)
    values = [_datum(row, name, scale) for row, name in zip(shown, names, strict=True)]
    y = {
        "field": "name", "type": "nominal", "sort": names, "title": None,
        "scale": {"domain": names},
    }  # fmt: skip
    x = {"scale": {"padding": 8}}
    colour = {"field": "colour", "type": "nominal", "scale": None}
    spec: dict[str, Any] = {
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
    size = chart_parts.prompts_caption(row["n"] for row in shown)
    left_out = f"; {len(shown)} of {len(rows)} comparisons" if len(rows) > len(shown) else ""
    caption = (
        f"{size}; 95 % intervals; blue: real, after adjustment for the number of comparisons; "
        f"band: too small to be detected here{left_out}"
    )
    return Chart(title, caption, spec, wide=True, scroll=True)


def _datum(row: Row, name: str, scale: float) -> Row:
    value = row["difference"] * scale
    low, high = (end * scale for end in row["ci95"] or (row["difference"],) * 2)
    if scale == 100.0:
        low, high = max(-100.0, low), min(100.0, high)
    band = (row["mde"] or 0.0) * scale
    if scale == 100.0:
        band = min(100.0, band)
    return {
        "name": name,
        "value": value,
        "low": low,
        "high": high,
        "not_seen": -band,
        "seen": band,
        "colour": palette.REAL if is_real(row) else palette.OPEN,
    }


def row_name(row: Row) -> str:
    """The sides of a comparison and where it was made, as short as possible."""
    sides = sides_text(row)
    if row["pooled"]:
        return f"{sides}, pooled"
    if not row["stratum"]:
        return sides
    # Short names, because the last axis, which distinguishes the rows, would be cut off.
    stratum: Row = row["stratum"]
    short = {_SHORT.get(axis, axis): value for axis, value in stratum.items()}
    return f"{sides} at {stratum_text(short)}"
