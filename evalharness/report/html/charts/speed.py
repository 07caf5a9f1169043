"""Time and tokens: latency distributions and output lengths."""

from __future__ import annotations

from typing import Any

from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.html.series import Series
from evalharness.report.words import format_numbers as n

BARS = 30
_LOG_FROM = 20.0  # a range of this factor is drawn on a logarithmic scale


def speed(data: Row, series: dict[str, Series]) -> list[Chart]:
    """Latency and first-token distributions, and the length of outputs."""
    charts = [
        _ecdf(data, series, "latency_s", "Latency", "time to the complete answer"),
        _ecdf(data, series, "ttft_s", "First token", "time to the first token"),
        _lengths(data),
    ]
    return [chart for chart in charts if chart is not None]


def _ecdf(data: Row, series: dict[str, Series], column: str, title: str, axis: str) -> Chart | None:
    values: list[Row] = []
    sizes: list[int] = []
    for drawn in data["distributions"]:
        look = series.get(drawn["setting_id"])
        if look is None or not drawn[column]["n"]:
            continue
        sizes.append(drawn[column]["n"])
        points: list[list[float]] = drawn[column]["ecdf"]
        values += [{"x": x, "value": y, "key": look.key, "order": y} for x, y in points]
    if not values:
        return None
    shown = list(series.values())
    unit, scale = n.time_unit(max(v["x"] for v in values) / 10)
    for value in values:
        value["x"] *= scale
    low, high = min(v["x"] for v in values), max(v["x"] for v in values)
    log = low > 0 and high / low > _LOG_FROM
    ticks = {"values": chart_parts.log_ticks(low, high)} if log else {}
    x = chart_parts.quantity(
        "x", f"{axis} ({unit}{', logarithmic' if log else ''})", axis={"format": "~r", **ticks},
        scale={"type": "log", "nice": False} if log else {"zero": True},
    )  # fmt: skip
    spec = chart_parts.lines(
        values, shown, x, chart_parts.share("value", "share of answers within"),
        interpolate="step-after", strokeWidth=1.6,
    )  # fmt: skip
    spec["layer"][0]["encoding"]["order"] = {"field": "order"}
    spec["width"] = 450
    return Chart(
        f"{title} distribution",
        f"n\u00a0=\u00a0{chart_parts.sizes(sizes)} answers a line",
        spec,
        wide=True,
    )


def _lengths(data: Row) -> Chart | None:
    """The middle half of output lengths with the median, and from 5 % to 95 %."""
    names: list[str] = []
    values: list[Row] = []
    rows = list(zip(data["settings"], data["distributions"], strict=True))
    labels = chart_parts.names_for([row["label"] for row, _ in rows[:BARS]], 26)
    for label, (_, drawn) in zip(labels, rows, strict=False):
        tokens = drawn["completion_tokens"]
        if tokens["n"]:
            names.append(label)
            values.append({"name": names[-1], **tokens})
    if len({v[end] for v in values for end in ("p5", "p95")}) < 2:
        return None  # every output is as long as the other: the table says it
    spec: dict[str, Any] = {
        "width": 130,
        "height": chart_parts.bar_step(len(names)),
        "data": {"values": values},
        "encoding": {"y": chart_parts.name_axis(names)},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 1.5, "color": palette.RULE},
                "encoding": {
                    "x": chart_parts.quantity("p5", "completion tokens", scale={"zero": True}),
                    "x2": {"field": "p95"},
                },
            },
            {
                "mark": {"type": "bar", "height": 9, "color": palette.SERIES[5]},
                "encoding": {"x": {"field": "p25", "type": "quantitative"}, "x2": {"field": "p75"}},
            },
            {
                "mark": {"type": "tick", "thickness": 2.5, "size": 13, "color": palette.INK},
                "encoding": {"x": {"field": "p50", "type": "quantitative"}},
            },
        ],
    }
    size = chart_parts.sizes(v["n"] for v in values)
    beside = f"; the first {BARS} of {len(rows)} settings" if len(rows) > BARS else ""
    caption = f"median, middle half, 5 % to 95 %; n\u00a0=\u00a0{size} outputs a setting{beside}"
    return Chart("Length of outputs", caption, spec)
