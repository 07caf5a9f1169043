"""Idle, knee and saturation in the plots of load points, and work for its cost as a plot."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from evalharness.report.build.load_data import LoadData, LoadSweep
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.html.series import Series
from evalharness.report.sections.load.sweeps import is_shown, speed_title, work_title

_MAX_MARKED = 1  # sweeps whose knee is drawn: lines of more would not be told apart
_SHAPES = palette.SHAPES


def with_sweeps(chart: Chart, sweeps: Sequence[LoadSweep]) -> Chart:
    """The curve with upright lines at knee and saturation."""
    if not 0 < len(sweeps) <= _MAX_MARKED:
        return chart
    sweep = sweeps[0]
    marks = [("knee", sweep.knee_rate)]
    if sweep.saturation_per_s is not None:
        marks.append(("saturation", sweep.saturation_per_s.value))
    values = [{"at": at, "name": name} for name, at in marks if at is not None]
    if not values:
        return chart
    at = {"field": "at", "type": "quantitative"}
    rule = {
        "data": {"values": values},
        "mark": {"type": "rule", "strokeDash": [2, 3], "color": palette.INK, "opacity": 0.6},
        "encoding": {"x": at, "y": None},
    }
    # The knee's name stands left of its line and that of saturation right: they may be close.
    names = [
        {
            "data": {"values": [value]},
            "mark": {
                "type": "text", "align": align, "dx": dx, "baseline": "top", "fontSize": 11,
                "color": palette.INK,
            },
            "encoding": {"x": at, "y": {"value": 2}, "text": {"field": "name"}},
        }
        for value, align, dx in zip(values, ("right", "left"), (-4, 4), strict=False)
    ]  # fmt: skip
    layered = {**chart.spec, "layer": [rule, *chart.spec["layer"], *names]}
    return structs.replace(chart, spec=layered)


def capacity_chart(data: LoadData) -> Chart | None:
    """Work of the server against speed for a user, with the points that no other beats joined."""
    capacity = data.capacity
    if capacity is None or not is_shown(data):
        return None
    servers = list(dict.fromkeys(point.server for point in capacity.points))
    looks = [
        Series(
            key=str(index), label=name, colour=palette.SERIES[index % len(palette.SERIES)],
            dash=(1, 0), shape=_SHAPES[index % len(_SHAPES)],
        )
        for index, name in enumerate(chart_parts.names_for(servers, 60))
    ]  # fmt: skip
    values: list[Spec] = [
        {
            "x": point.user_speed, "value": point.work, "key": str(servers.index(point.server)),
            "frontier": point.on_frontier,
        }
        for point in capacity.points
    ]  # fmt: skip
    x = chart_parts.quantity("x", speed_title(capacity), scale={"zero": False})
    y = chart_parts.quantity("value", work_title(capacity), scale={"zero": True})
    frontier = {
        "transform": [{"filter": "datum.frontier"}],
        "mark": {"type": "line", "color": palette.INK, "strokeWidth": 1, "opacity": 0.5},
        "encoding": {"order": {"field": "x", "type": "quantitative"}},
    }
    spec = chart_parts.with_points(chart_parts.lines(values, looks, x, y), looks)
    spec = {**spec, "layer": [frontier, *spec["layer"][1:]], "width": 450}
    caption = "a mark a load point; joined: those that no other beats in both"
    return Chart("Work and speed", caption, spec, tuple(looks), wide=True)
