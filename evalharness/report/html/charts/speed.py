"""Time and tokens: latency distributions, output lengths, the run as it went."""

from __future__ import annotations

from typing import Any

from evalharness.report import numbers as n
from evalharness.report.html import palette
from evalharness.report.html.charts import parts
from evalharness.report.html.charts.parts import Chart, Row
from evalharness.report.html.series import Series

BARS = 30
_UNITS = (("hours", 3600.0, 7200.0), ("minutes", 60.0, 120.0), ("seconds", 1.0, -1.0))
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
    ticks = {"values": parts.log_ticks(low, high)} if log else {}
    x = parts.quantity(
        "x", f"{axis} ({unit}{', logarithmic' if log else ''})", axis={"format": "~r", **ticks},
        scale={"type": "log", "nice": False} if log else {"zero": True},
    )  # fmt: skip
    spec = parts.lines(
        values, shown, x, parts.share("value", "share of answers within"),
        interpolate="step-after", strokeWidth=1.6,
    )  # fmt: skip
    spec["layer"][0]["encoding"]["order"] = {"field": "order"}
    spec["width"] = 450
    return Chart(
        f"{title} distribution",
        f"n\u00a0=\u00a0{parts.sizes(sizes)} answers a line",
        spec,
        wide=True,
    )


def _lengths(data: Row) -> Chart | None:
    """The middle half of output lengths with the median, and from 5 % to 95 %."""
    names: list[str] = []
    values: list[Row] = []
    rows = list(zip(data["settings"], data["distributions"], strict=True))
    labels = parts.names_for([row["label"] for row, _ in rows[:BARS]], 26)
    for label, (_, drawn) in zip(labels, rows, strict=False):
        tokens = drawn["completion_tokens"]
        if tokens["n"]:
            names.append(label)
            values.append({"name": names[-1], **tokens})
    if len({v[end] for v in values for end in ("p5", "p95")}) < 2:
        return None  # every output is as long as the other: the table says it
    spec: dict[str, Any] = {
        "width": 130,
        "height": parts.bar_step(len(names)),
        "data": {"values": values},
        "encoding": {"y": parts.name_axis(names)},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 1.5, "color": palette.RULE},
                "encoding": {
                    "x": parts.quantity("p5", "completion tokens", scale={"zero": True}),
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
    size = parts.sizes(v["n"] for v in values)
    beside = f"; the first {BARS} of {len(rows)} settings" if len(rows) > BARS else ""
    caption = f"median, middle half, 5 % to 95 %; n\u00a0=\u00a0{size} outputs a setting{beside}"
    return Chart("Length of outputs", caption, spec)


def timeline(data: Row) -> list[Chart]:
    """The run as it went: trials sent over time by fate, and the median latency."""
    found = data["timeline"]
    if found is None or len([b for b in found["bins"] if b["trials"]]) < 3:
        return []
    total = found["bin_s"] * len(found["bins"])
    unit, scale = next((u, s) for u, s, least in _UNITS if total > least)
    x = parts.quantity("x", f"{unit} since the first request", axis={"tickCount": 6})
    bars: list[Row] = []
    latency: list[Row] = []
    answered: list[int] = []
    for place in found["bins"]:
        at, end = place["at_s"] / scale, (place["at_s"] + found["bin_s"]) / scale
        whole = place["trials"] - place["errors"] - place["truncated"]
        for fate, count in (("0", whole), ("1", place["truncated"]), ("2", place["errors"])):
            bars.append({"x": at, "x2": end, "fate": fate, "count": count})
        if place["latency_p50_s"] is not None:
            answered.append(place["trials"] - place["errors"])
            latency.append({"x": (at + end) / 2, "value": place["latency_p50_s"]})
    fates = (("complete", palette.SERIES[0]), ("cut", palette.SERIES[5]), ("error", palette.BAD))
    spec = {
        "width": 460,
        "height": 120,
        "data": {"values": bars},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {**x, "bin": {"binned": True}},
            "x2": {"field": "x2"},
            "y": parts.quantity("count", "trials", axis={"tickCount": 4}),
            "color": {
                "field": "fate", "type": "nominal", "legend": None,
                "scale": {"domain": ["0", "1", "2"], "range": [colour for _, colour in fates]},
            },
        },
    }  # fmt: skip
    legend = tuple(
        Series(key=str(i), label=name, colour=colour, dash=(), shape="square")
        for i, (name, colour) in enumerate(fates)
    )
    trials = sum(place["trials"] for place in found["bins"])
    width = f"{n.seconds(found['bin_s'])} a bar"
    charts = [
        Chart(
            "Trials over time",
            f"by when they were sent, {width}; n\u00a0=\u00a0{trials:,} trials",
            spec,
            legend,
            wide=True,
        )
    ]
    if latency:
        time, factor = n.time_unit(max(value["value"] for value in latency))
        for value in latency:
            value["value"] *= factor
        line = {
            "width": 460, "height": 120, "data": {"values": latency},
            "mark": {
                "type": "line", "color": palette.SERIES[0],
                "point": {"size": 14, "color": palette.SERIES[0]},
            },
            "encoding": {"x": x, "y": parts.quantity("value", f"median latency ({time})")},
        }  # fmt: skip
        charts.append(
            Chart(
                "Latency over time",
                f"median of the answers sent in each bar; n\u00a0=\u00a0{sum(answered):,} answers",
                line,
                wide=True,
            )
        )
    return charts
