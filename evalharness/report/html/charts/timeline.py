"""The run as it went: what was sent when, and how long it took."""

from __future__ import annotations

from typing import Any

from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.html.series import Series
from evalharness.report.words import format_numbers as n

_UNITS = (("hours", 3600.0, 7200.0), ("minutes", 60.0, 120.0), ("seconds", 1.0, -1.0))
_FATES = (("complete", palette.SERIES[0]), ("cut", palette.SERIES[5]), ("error", palette.BAD))
_SIZE = {"width": 460, "height": 120}


def timeline(data: Row) -> list[Chart]:
    """Trials sent over time by fate, and the median latency; nothing of fewer than three bins."""
    found = data["timeline"]
    if found is None or len([b for b in found["bins"] if b["trials"]]) < 3:
        return []
    total = found["bin_s"] * len(found["bins"])
    unit, scale = next((u, s) for u, s, least in _UNITS if total > least)
    x = chart_parts.quantity("x", f"{unit} since the first request", axis={"tickCount": 6})
    charts = [_trials(found, x, scale), _latency(found, x, scale)]
    return [chart for chart in charts if chart is not None]


def _trials(found: Row, x: Row, scale: float) -> Chart:
    bars: list[Row] = []
    for place in found["bins"]:
        at, end = place["at_s"] / scale, (place["at_s"] + found["bin_s"]) / scale
        whole = place["trials"] - place["errors"] - place["truncated"]
        for fate, count in enumerate((whole, place["truncated"], place["errors"])):
            bars.append({"x": at, "x2": end, "fate": str(fate), "count": count})
    spec: dict[str, Any] = {
        **_SIZE,
        "data": {"values": bars},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {**x, "bin": {"binned": True}},
            "x2": {"field": "x2"},
            "y": chart_parts.quantity("count", "trials", axis={"tickCount": 4}),
            "color": {
                "field": "fate", "type": "nominal", "legend": None,
                "scale": {"domain": ["0", "1", "2"], "range": [colour for _, colour in _FATES]},
            },
        },
    }  # fmt: skip
    legend = tuple(
        Series(key=str(i), label=name, colour=colour, dash=(), shape="square")
        for i, (name, colour) in enumerate(_FATES)
    )
    trials = sum(place["trials"] for place in found["bins"])
    caption = (
        f"by when they were sent, {n.seconds(found['bin_s'])} a bar; "
        f"n\u00a0=\u00a0{trials:,} trials"
    )
    return Chart("Trials over time", caption, spec, legend, wide=True)


def _latency(found: Row, x: Row, scale: float) -> Chart | None:
    known = [place for place in found["bins"] if place["latency_p50_s"] is not None]
    if not known:
        return None
    unit, factor = n.time_unit(max(place["latency_p50_s"] for place in known))
    values = [
        {
            "x": (place["at_s"] + found["bin_s"] / 2) / scale,
            "value": factor * place["latency_p50_s"],
        }
        for place in known
    ]
    spec: dict[str, Any] = {
        **_SIZE,
        "data": {"values": values},
        "mark": {
            "type": "line", "color": palette.SERIES[0],
            "point": {"size": 14, "color": palette.SERIES[0]},
        },
        "encoding": {"x": x, "y": chart_parts.quantity("value", f"median latency ({unit})")},
    }  # fmt: skip
    answered = sum(place["trials"] - place["errors"] for place in known)
    caption = f"median of the answers sent in each bar; n\u00a0=\u00a0{answered:,} answers"
    return Chart("Latency over time", caption, spec, wide=True)
