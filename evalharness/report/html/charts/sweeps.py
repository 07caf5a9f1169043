"""Plots of a sweep: curves over a numeric axis, a heat map of two axes, dots by setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from evalharness.config.parameter_values import same_value
from evalharness.process.text import plural
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.html.series import Axis, Series, axes_of, axis_value, series_look
from evalharness.report.words.differences import stratum_text
from evalharness.report.words.format_numbers import metric_value, parameter_text, time_unit
from evalharness.report.words.sanitize import one_line

MAX_STRATA = 7  # lines in one plot
MAX_CELLS = 14  # values on an axis of a heat map
MAX_DOTS = 30  # names in a dot plot
_MAX_VALUE_CHARS = 18  # characters of a value on an axis
_LINE_OFFSET = 0.014  # between the points of two lines, as a share of the axis
_NARROW_NAME = 14  # characters: names up to this length fit beside a narrow plot


class Metric(msgspec.Struct, frozen=True):
    """One figure of a setting to draw.

    ``read`` takes a setting and its distributions, and gives value, low, high and n (None unknown).
    """

    title: str
    axis: str
    is_share: bool
    read: Callable[[Row, Row], tuple[float | None, Any, Any, int]]


def sweep_charts(data: Row) -> list[Chart]:
    """The plots of a sweep: each figure against each axis."""
    rows = data["settings"]
    axes = axes_of(rows)
    if not axes or len(rows) < 2:
        return []
    known = [metric for metric in _metrics(data) if _is_informative(data, metric)]
    numeric = [axis for axis in axes if axis.is_numeric]
    charts: list[Chart] = []
    for axis in numeric[:2]:
        curves = [_curve(data, axis, axes, metric) for metric in known]
        charts += _with_heading(f"Against {one_line(axis.name, 40)}", curves)
    if len(axes) == 2 and all(len(axis.values) <= MAX_CELLS for axis in axes):
        maps = [_heat_map(data, axes[0], axes[1], metric) for metric in known]
        names = [one_line(axis.name, 40) for axis in axes]
        charts += _with_heading(f"By {names[0]} and {names[1]}", maps)
    elif not numeric and len(rows) <= MAX_DOTS:
        charts += _with_heading("By setting", [_dots(data, metric) for metric in known])
    return charts


def _with_heading(heading: str, charts: list[Chart]) -> list[Chart]:
    """Return the plots as one line with a heading and a shared legend."""
    return [
        msgspec.structs.replace(
            chart, row="" if i else heading, row_legend=() if i else chart.legend, legend=()
        )
        for i, chart in enumerate(charts)
    ]


def _share_of(name: str, part: str) -> Callable[[Row, Row], Any]:
    def read(row: Row, _: Row) -> tuple[float | None, Any, Any, int]:
        stats: Row = (row[name][part] if part else row[name]) or {}
        mean = stats.get("pairwise" if part else "mean")
        low, high = chart_parts.clip_interval(stats.get("ci95"))
        return mean, low, high, stats.get("prompts") or 0

    return read


def _mean_of(metric: str, scale: float = 1.0) -> Callable[[Row, Row], Any]:
    def read(_: Row, distribution: Row) -> tuple[float | None, Any, Any, int]:
        stats = distribution["means"][metric]
        if stats["mean"] is None:
            return None, None, None, 0
        low, high = stats["ci95"] or (None, None)
        ends = [None if end is None else max(0.0, end) * scale for end in (low, high)]
        return stats["mean"] * scale, ends[0], ends[1], stats["n"]

    return read


def _metrics(data: Row) -> list[Metric]:
    """The figures to draw; times in the unit that suits the longest."""
    means = [entry["means"]["latency_s"]["mean"] or 0.0 for entry in data["distributions"]]
    unit, scale = time_unit(max(means, default=0.0))
    return [
        Metric("Same text", "same text", True, _share_of("agreement", "raw")),
        Metric("Same answer", "same answer", True, _share_of("agreement", "answer")),
        Metric("Score", "mean score", True, _share_of("score", "")),
        Metric("Latency", f"mean latency ({unit})", False, _mean_of("latency_s", scale)),
        Metric("Output length", "completion tokens", False, _mean_of("completion_tokens")),
        Metric("Cost", "US dollars per 1,000 requests", False, _mean_of("cost_usd", 1000.0)),
    ]


def _is_informative(data: Row, metric: Metric) -> bool:
    """Whether a plot is worth drawing: not where a length or cost never changes."""
    known = [value for value, *_ in _read_values(data, metric) if value is not None]
    return bool(known) and (metric.is_share or len(set(known)) > 1)


def _read_values(data: Row, metric: Metric) -> list[tuple[float | None, Any, Any, int]]:
    pairs = zip(data["settings"], data["distributions"], strict=True)
    return [metric.read(row, distribution) for row, distribution in pairs]


def _y(metric: Metric) -> Row:
    if metric.is_share:
        return chart_parts.share("value", metric.axis)
    return chart_parts.quantity("value", metric.axis, scale={"zero": True})


def _values(data: Row, metric: Metric, position_of: Callable[[Row], Row | None]) -> list[Row]:
    """One datum for each setting that has a value and a position in the plot."""
    values: list[Row] = []
    for row, (value, low, high, size) in zip(
        data["settings"], _read_values(data, metric), strict=True
    ):
        position = position_of(row)
        if value is not None and position is not None:
            low, high = (value if end is None else end for end in (low, high))
            values.append({**position, "value": value, "low": low, "high": high, "n": size})
    return values


def _curve(data: Row, axis: Axis, axes: list[Axis], metric: Metric) -> Chart:
    strata = _strata(data["settings"], [other for other in axes if other.name != axis.name])
    joined = len(strata) <= MAX_STRATA
    series = [
        series_look(str(i), stratum_text(stratum), i, i)
        for i, stratum in enumerate(strata if joined else [{}])
    ]

    def position_of(row: Row) -> Row | None:
        x = axis_value(row, axis)
        if not isinstance(x, int | float) or isinstance(x, bool):
            return None
        key = next(i for i, s in enumerate(strata) if _within(row, s)) if joined else 0
        return {"x": float(x), "key": str(key)}

    values = _values(data, metric, position_of)
    if joined:
        _offset_lines(values, len(strata))
    spec = chart_parts.lines(
        values, series,
        chart_parts.quantity("x", one_line(axis.name, 40), scale={"zero": False, "padding": 12}),
        _y(metric),
    )  # fmt: skip
    if not joined:
        spec["layer"] = []
    spec = chart_parts.with_intervals(chart_parts.with_points(spec, series), series)
    left_out = sum(axis_value(row, axis) not in axis.numbers for row in data["settings"])
    note = f"; {plural(left_out, 'setting')} without a number not drawn" if left_out else ""
    legend = tuple(series) if joined and len(strata) > 1 else ()
    return Chart(metric.title, f"{_sizes(values)}; 95 % intervals{note}", spec, legend)


def _offset_lines(values: list[Row], lines: int) -> None:
    """Shift the points of each line sideways, so that intervals do not cover each other."""
    positions = [value["x"] for value in values]
    step = _LINE_OFFSET * (max(positions) - min(positions)) if positions else 0.0
    for value in values:
        value["x"] += step * (int(value["key"]) - (lines - 1) / 2)


def _strata(rows: list[Row], others: list[Axis]) -> list[Row]:
    """The combinations of the other axes' values, in order of appearance."""
    strata: list[Row] = []
    for row in rows:
        stratum = {axis.name: axis_value(row, axis) for axis in others}
        if not any(_equal(stratum, known) for known in strata):
            strata.append(stratum)
    return strata


def _equal(a: Row, b: Row) -> bool:
    return all(same_value(a[name], b[name]) for name in a)


def _within(row: Row, stratum: Row) -> bool:
    return all(
        same_value(row["axes"].get(name, row["params"].get(name)), value)
        for name, value in stratum.items()
    )


def _sizes(values: list[Row]) -> str:
    """The number of prompts of each point, for a caption."""
    return chart_parts.prompts_caption(value["n"] for value in values)


def _heat_map(data: Row, across: Axis, down: Axis, metric: Metric) -> Chart:
    def position_of(row: Row) -> Row:
        return {
            "x": _value_label(axis_value(row, across)),
            "y": _value_label(axis_value(row, down)),
        }

    values = _values(data, metric, position_of)
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


def _bare(value: float, metric: Metric) -> str:
    """A value without its unit, which is in the caption, because cells are small."""
    return f"{100 * value:.0f}" if metric.is_share else metric_value("", value)


def _nominal(field: str, axis: Axis) -> Row:
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


def _dots(data: Row, metric: Metric) -> Chart:
    names = chart_parts.names_for([row["label"] for row in data["settings"]], 34)
    name_of = {row["setting_id"]: name for row, name in zip(data["settings"], names, strict=True)}
    values = _values(data, metric, lambda row: {"name": name_of[row["setting_id"]]})
    look: Series = series_look("0", "", 0, 0)
    for value in values:
        value["key"] = "0"
    narrow = max(map(len, names)) <= _NARROW_NAME
    y = chart_parts.name_axis(names)
    spec = {
        "width": 150 if narrow else chart_parts.WIDTH + 60,
        "height": chart_parts.bar_step(len(names)),
        "data": {"values": values},
        "encoding": {"y": y, "x": _y(metric)},
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
