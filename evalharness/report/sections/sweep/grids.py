"""Plots of settings side by side: a heat map of two axes, and dots by setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalharness.analysis.summary import SettingSummary
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.html.series import Axis, axis_value, series_look
from evalharness.report.sections.sweep.metric import SweepMetric
from evalharness.report.words.format_numbers import metric_value, parameter_text
from evalharness.report.words.sanitize import one_line

_MAX_VALUE_CHARS = 18  # characters of a value on an axis
_NARROW_NAME = 14  # characters: names up to this length fit beside a narrow plot


def heat_map(
    rows: Sequence[SettingSummary], across: Axis, down: Axis, metric: SweepMetric
) -> Chart:
    """A figure by the values of two axes."""

    def position_of(row: SettingSummary) -> Spec:
        return {
            "x": _value_label(axis_value(row, across)),
            "y": _value_label(axis_value(row, down)),
        }

    values = metric.values(rows, position_of)
    figures = [value["value"] for value in values]
    low, high = (0.0, 1.0) if metric.is_share else (min(figures), max(figures))
    for value in values:
        value["shown"] = _bare(value["value"], metric)
        is_dark = chart_parts.heat_step(value["value"], low, high) >= palette.HEAT_DARK_FROM
        value["ink"] = palette.ON_DEEP if is_dark else palette.ON_PALE
    step = max(34, min(76, chart_parts.WIDTH // len(across.values)))
    spec = {
        "width": {"step": step},
        "height": {"step": 40 if len(down.values) <= 5 else 28},
        "data": {"values": values},
        "encoding": {
            "x": _nominal("x", across),
            "y": _nominal("y", down),
        },
        "resolve": {"scale": {"color": "independent"}},
        "layer": [
            {
                "mark": {"type": "rect"},
                "encoding": {"color": chart_parts.heat("value", low, high)},
            },
            {
                "mark": {"type": "text", "fontSize": 12 if step >= 44 else 10.5},
                "encoding": {
                    "text": {"field": "shown"},
                    "color": {"field": "ink", "type": "nominal", "scale": None},
                },
            },
        ],
    }
    unit = " (%)" if metric.is_share else ""
    caption = f"{metric.axis}{unit}; the stronger the colour, the more; {_sizes(values)}"
    return Chart(metric.title, caption, spec)


def dots(rows: Sequence[SettingSummary], metric: SweepMetric) -> Chart:
    """A figure with its interval, one line a setting."""
    names = chart_parts.names_for([row.label for row in rows], 34)
    name_of = {row.setting_id: name for row, name in zip(rows, names, strict=True)}
    values = metric.values(rows, lambda row: {"name": name_of[row.setting_id]})
    look = series_look("0", "", 0, 0)
    for value in values:
        value["key"] = "0"
    narrow = max(map(len, names)) <= _NARROW_NAME
    spec = {
        "width": 150 if narrow else chart_parts.WIDTH + 60,
        "height": chart_parts.bar_step(len(names)),
        "data": {"values": values},
        "encoding": {"y": chart_parts.name_axis(names), "x": metric.channel()},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.55},
                "encoding": {
                    "x": {"field": "low", "type": "quantitative"},
                    "x2": {"field": "high"},
                    "color": chart_parts.colour([look]),
                },
            },
            {
                "mark": {"type": "point", "filled": True, "opacity": 1},
                "encoding": {"color": chart_parts.colour([look])},
            },
        ],
    }
    caption = f"{_sizes(values)}; 95 % intervals"
    return Chart(metric.title, caption, spec, wide=not narrow, scroll=not narrow)


def _sizes(values: Sequence[Spec]) -> str:
    """The number of prompts of each point, for a caption."""
    return chart_parts.prompts_caption(value["n"] for value in values)


def _bare(value: float, metric: SweepMetric) -> str:
    """A value without its unit, which is in the caption, because cells are small."""
    return f"{100 * value:.0f}" if metric.is_share else metric_value("", value)


def _nominal(field: str, axis: Axis) -> Spec:
    names = [_value_label(value) for value in axis.values]
    return {
        "field": field,
        "type": "nominal",
        "title": one_line(axis.name, 40),
        "sort": names,
        "scale": {"domain": names, "paddingInner": 0.04},
        "axis": {"labelAngle": 0, "domain": False},
    }


def _value_label(value: Any) -> str:
    return one_line(parameter_text(value), _MAX_VALUE_CHARS)
