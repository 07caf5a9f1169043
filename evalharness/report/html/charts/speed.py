"""Plots of time and tokens: latency distributions and output lengths."""

from __future__ import annotations

from typing import Any

from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.html.series import Series
from evalharness.report.words.format_numbers import time_unit

MAX_BARS = 30
_LOG_FROM = 20.0  # from this ratio of largest to smallest the scale is logarithmic


def speed_charts(data: Row, series: dict[str, Series]) -> list[Chart]:
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
    for distribution in data["distributions"]:
        look = series.get(distribution["setting_id"])
        if look is None or not distribution[column]["n"]:
            continue
        sizes.append(distribution[column]["n"])
        points: list[list[float]] = distribution[column]["ecdf"]
        values += [{"x": x, "value": y, "key": look.key, "order": y} for x, y in points]
    if not values:
        return None
    shown = list(series.values())
    unit, scale = time_unit(max(v["x"] for v in values) / 10)
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
        f"n\u00a0=\u00a0{chart_parts.range_text(sizes)} answers a line",
        spec,
        wide=True,
    )


def _lengths(data: Row) -> Chart | None:
    """Output lengths by setting: median, middle half, and the range from 5 % to 95 %."""
    names: list[str] = []
    values: list[Row] = []
    rows = list(zip(data["settings"], data["distributions"], strict=True))
    labels = chart_parts.names_for([row["label"] for row, _ in rows[:MAX_BARS]], 26)
    for label, (_, distribution) in zip(labels, rows, strict=False):
        tokens = distribution["completion_tokens"]
        if tokens["n"]:
            names.append(label)
            values.append({"name": names[-1], **tokens})
    if len({v[end] for v in values for end in ("p5", "p95")}) < 2:
        return None  # all outputs are equally long: the table shows it
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
    size = chart_parts.range_text(v["n"] for v in values)
    left_out = f"; the first {MAX_BARS} of {len(rows)} settings" if len(rows) > MAX_BARS else ""
    caption = f"median, middle half, 5 % to 95 %; n\u00a0=\u00a0{size} outputs a setting{left_out}"
    return Chart("Length of outputs", caption, spec)
