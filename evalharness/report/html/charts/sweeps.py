"""A sweep at a glance: curves over a numeric axis, a heat map over two axes, dots over names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.html.series import Axis, Series, axes_of, look, same_value, value_on
from evalharness.report.words import format_numbers as n
from evalharness.report.words.sanitize import one_line

STRATA = 7  # lines in one plot
CELLS = 14  # values on an axis of a heat map
DOTS = 30  # names in a dot plot
_CATEGORIES = 18  # characters of a value on an axis
_APART = 0.014  # of an axis between the points of two lines
_SHORT = 14  # characters of a name that leaves a narrow plot its room


class Metric(msgspec.Struct, frozen=True):
    """One figure of a setting to draw.

    ``read`` takes a setting and its distributions, and gives value, low, high and n (None unknown).
    """

    title: str
    axis: str
    is_share: bool
    read: Callable[[Row, Row], tuple[float | None, Any, Any, int]]


def sweep(data: Row) -> list[Chart]:
    """The plots of a sweep: what each axis does to each figure."""
    rows = data["settings"]
    axes = axes_of(rows)
    if not axes or len(rows) < 2:
        return []
    known = [metric for metric in _metrics(data) if _readable(data, metric)]
    numeric = [axis for axis in axes if axis.is_numeric]
    charts: list[Chart] = []
    for axis in numeric[:2]:
        curves = [_curve(data, axis, axes, metric) for metric in known]
        charts += _row(f"Against {one_line(axis.name, 40)}", curves)
    if len(axes) == 2 and all(len(axis.values) <= CELLS for axis in axes):
        maps = [_heat_map(data, axes[0], axes[1], metric) for metric in known]
        names = [one_line(axis.name, 40) for axis in axes]
        charts += _row(f"By {names[0]} and {names[1]}", maps)
    elif not numeric and len(rows) <= DOTS:
        charts += _row("By setting", [_dots(data, metric) for metric in known])
    return charts


def _row(heading: str, charts: list[Chart]) -> list[Chart]:
    """The same plots as one line with a heading, and one legend for all of them."""
    return [
        msgspec.structs.replace(
            chart, row="" if i else heading, row_legend=() if i else chart.legend, legend=()
        )
        for i, chart in enumerate(charts)
    ]


def _share_of(name: str, part: str) -> Callable[[Row, Row], Any]:
    def read(row: Row, _: Row) -> tuple[float | None, Any, Any, int]:
        found: Row = (row[name][part] if part else row[name]) or {}
        mean = found.get("pairwise" if part else "mean")
        low, high = chart_parts.clipped(found.get("ci95"))
        return mean, low, high, found.get("prompts") or 0

    return read


def _mean_of(metric: str, scale: float = 1.0) -> Callable[[Row, Row], Any]:
    def read(_: Row, drawn: Row) -> tuple[float | None, Any, Any, int]:
        found = drawn["means"][metric]
        if found["mean"] is None:
            return None, None, None, 0
        low, high = found["ci95"] or (None, None)
        ends = [None if end is None else max(0.0, end) * scale for end in (low, high)]
        return found["mean"] * scale, ends[0], ends[1], found["n"]

    return read


def _metrics(data: Row) -> list[Metric]:
    """What there is to draw; times in the unit that suits the longest."""
    means = [drawn["means"]["latency_s"]["mean"] or 0.0 for drawn in data["distributions"]]
    unit, scale = n.time_unit(max(means, default=0.0))
    return [
        Metric("Same text", "same text", True, _share_of("agreement", "raw")),
        Metric("Same answer", "same answer", True, _share_of("agreement", "answer")),
        Metric("Score", "mean score", True, _share_of("score", "")),
        Metric("Latency", f"mean latency ({unit})", False, _mean_of("latency_s", scale)),
        Metric("Output length", "completion tokens", False, _mean_of("completion_tokens")),
        Metric("Cost", "US dollars per 1,000 requests", False, _mean_of("cost_usd", 1000.0)),
    ]


def _readable(data: Row, metric: Metric) -> bool:
    """Whether there is something to see: a length or cost that never changes says nothing."""
    found = [value for value, *_ in _read(data, metric) if value is not None]
    return bool(found) and (metric.is_share or len(set(found)) > 1)


def _read(data: Row, metric: Metric) -> list[tuple[float | None, Any, Any, int]]:
    pairs = zip(data["settings"], data["distributions"], strict=True)
    return [metric.read(row, drawn) for row, drawn in pairs]


def _y(metric: Metric) -> Row:
    if metric.is_share:
        return chart_parts.share("value", metric.axis)
    return chart_parts.quantity("value", metric.axis, scale={"zero": True})


def _values(data: Row, metric: Metric, place: Callable[[Row], Row | None]) -> list[Row]:
    """One datum a setting that has a value and a place in the plot."""
    values: list[Row] = []
    for row, (value, low, high, size) in zip(data["settings"], _read(data, metric), strict=True):
        at = place(row)
        if value is not None and at is not None:
            low, high = (value if end is None else end for end in (low, high))
            values.append({**at, "value": value, "low": low, "high": high, "n": size})
    return values


def _curve(data: Row, axis: Axis, axes: list[Axis], metric: Metric) -> Chart:
    strata = _strata(data["settings"], [other for other in axes if other.name != axis.name])
    joined = len(strata) <= STRATA
    series = [
        look(str(i), _named(stratum), i, i) for i, stratum in enumerate(strata if joined else [{}])
    ]

    def place(row: Row) -> Row | None:
        x = value_on(row, axis)
        if not isinstance(x, int | float) or isinstance(x, bool):
            return None
        key = next(i for i, s in enumerate(strata) if _within(row, s)) if joined else 0
        return {"x": float(x), "key": str(key)}

    values = _values(data, metric, place)
    if joined:
        _set_apart(values, len(strata))
    spec = chart_parts.lines(
        values, series,
        chart_parts.quantity("x", one_line(axis.name, 40), scale={"zero": False, "padding": 12}),
        _y(metric),
    )  # fmt: skip
    if not joined:
        spec["layer"] = []
    spec = chart_parts.with_intervals(chart_parts.with_points(spec, series), series)
    left_out = sum(value_on(row, axis) not in axis.numbers for row in data["settings"])
    beside = f"; {n.plural(left_out, 'setting')} without a number not drawn" if left_out else ""
    legend = tuple(series) if joined and len(strata) > 1 else ()
    return Chart(metric.title, f"{_sizes(values)}; 95 % intervals{beside}", spec, legend)


def _set_apart(values: list[Row], lines: int) -> None:
    """Move the points of each line a little sideways, so that intervals do not cover each other."""
    places = [value["x"] for value in values]
    step = _APART * (max(places) - min(places)) if places else 0.0
    for value in values:
        value["x"] += step * (int(value["key"]) - (lines - 1) / 2)


def _strata(rows: list[Row], others: list[Axis]) -> list[Row]:
    """The combinations of the other axes' values, in order of appearance."""
    found: list[Row] = []
    for row in rows:
        stratum = {axis.name: value_on(row, axis) for axis in others}
        if not any(_equal(stratum, known) for known in found):
            found.append(stratum)
    return found


def _equal(a: Row, b: Row) -> bool:
    return all(same_value(a[name], b[name]) for name in a)


def _within(row: Row, stratum: Row) -> bool:
    return all(
        same_value(row["axes"].get(name, row["params"].get(name)), value)
        for name, value in stratum.items()
    )


def _named(stratum: Row) -> str:
    return ", ".join(f"{name} {n.parameter(value)}" for name, value in stratum.items())


def _sizes(values: list[Row]) -> str:
    """How many prompts stand behind the points of a plot."""
    return chart_parts.prompts(value["n"] for value in values)


def _heat_map(data: Row, across: Axis, down: Axis, metric: Metric) -> Chart:
    def place(row: Row) -> Row:
        return {"x": _category(value_on(row, across)), "y": _category(value_on(row, down))}

    values = _values(data, metric, place)
    found = [value["value"] for value in values]
    low, high = (0.0, 1.0) if metric.is_share else (min(found), max(found))
    for value in values:
        value["shown"] = _bare(value["value"], metric)
        deep = chart_parts.heat_step(value["value"], low, high) >= palette.HEAT_DARK_FROM
        value["ink"] = palette.ON_DEEP if deep else palette.ON_PALE
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
    """A value without its unit, which the caption names: cells are small."""
    return f"{100 * value:.0f}" if metric.is_share else n.value_of("", value)


def _nominal(field: str, axis: Axis) -> Row:
    names = [_category(value) for value in axis.values]
    return {
        "field": field,
        "type": "nominal",
        "title": one_line(axis.name, 40),
        "sort": names,
        "scale": {"domain": names, "paddingInner": 0.04},
        "axis": {"labelAngle": 0, "domain": False},
    }


def _category(value: Any) -> str:
    return one_line(n.parameter(value), _CATEGORIES)


def _dots(data: Row, metric: Metric) -> Chart:
    names = chart_parts.names_for([row["label"] for row in data["settings"]], 34)
    places = {row["setting_id"]: name for row, name in zip(data["settings"], names, strict=True)}
    values = _values(data, metric, lambda row: {"name": places[row["setting_id"]]})
    one: Series = look("0", "", 0, 0)
    for value in values:
        value["key"] = "0"
    narrow = max(map(len, names)) <= _SHORT
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
                    "color": chart_parts.colour([one]),
                },
            },
            {
                "mark": {"type": "point", "filled": True, "opacity": 1},
                "encoding": {"color": chart_parts.colour([one])},
            },
        ],
    }
    caption = f"{_sizes(values)}; 95 % intervals"
    return Chart(metric.title, caption, spec, wide=not narrow, scroll=not narrow)
