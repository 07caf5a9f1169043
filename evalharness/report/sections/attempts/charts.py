"""Plots of the run over time: trials sent, and their latency."""

from __future__ import annotations

from evalharness.analysis.distributions import Timeline
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.html.series import Series
from evalharness.report.words.format_numbers import seconds, time_unit

_UNITS = (("hours", 3600.0, 7200.0), ("minutes", 60.0, 120.0), ("seconds", 1.0, -1.0))
_OUTCOMES = (("complete", palette.SERIES[0]), ("cut", palette.SERIES[5]), ("error", palette.BAD))
_SIZE = {"width": 460, "height": 120}


def timeline_charts(timeline: Timeline | None) -> list[Chart]:
    """Trials over time by outcome, and the median latency; nothing of fewer than three bins."""
    if timeline is None or len([b for b in timeline.bins if b.trials]) < 3:
        return []
    unit, scale = next((u, s) for u, s, minimum in _UNITS if timeline.length_s > minimum)
    x = chart_parts.quantity("x", f"{unit} since the first request", axis={"tickCount": 6})
    charts = [_trials(timeline, x, scale), _latency(timeline, x, scale)]
    return [chart for chart in charts if chart is not None]


def _trials(timeline: Timeline, x: Spec, scale: float) -> Chart:
    bars: list[Spec] = []
    for a_bin in timeline.bins:
        start, end = a_bin.at_s / scale, (a_bin.at_s + timeline.bin_s) / scale
        complete = a_bin.trials - a_bin.errors - a_bin.truncated
        for outcome, count in enumerate((complete, a_bin.truncated, a_bin.errors)):
            bars.append({"x": start, "x2": end, "outcome": str(outcome), "count": count})
    spec: Spec = {
        **_SIZE,
        "data": {"values": bars},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {**x, "bin": {"binned": True}},
            "x2": {"field": "x2"},
            "y": chart_parts.quantity("count", "trials", axis={"tickCount": 4}),
            "color": {
                "field": "outcome", "type": "nominal", "legend": None,
                "scale": {"domain": ["0", "1", "2"], "range": [colour for _, colour in _OUTCOMES]},
            },
        },
    }  # fmt: skip
    legend = tuple(
        Series(key=str(i), label=name, colour=colour, dash=(), shape="square")
        for i, (name, colour) in enumerate(_OUTCOMES)
    )
    trials = sum(a_bin.trials for a_bin in timeline.bins)
    caption = (
        f"by when they were sent, {seconds(timeline.bin_s)} a bar; n\u00a0=\u00a0{trials:,} trials"
    )
    return Chart("Trials over time", caption, spec, legend, wide=True)


def _latency(timeline: Timeline, x: Spec, scale: float) -> Chart | None:
    medians = [(b, b.latency_p50_s) for b in timeline.bins if b.latency_p50_s is not None]
    if not medians:
        return None
    unit, factor = time_unit(max(median for _, median in medians))
    values = [
        {"x": (a_bin.at_s + timeline.bin_s / 2) / scale, "value": factor * median}
        for a_bin, median in medians
    ]
    spec: Spec = {
        **_SIZE,
        "data": {"values": values},
        "mark": {
            "type": "line", "color": palette.SERIES[0],
            "point": {"size": 14, "color": palette.SERIES[0]},
        },
        "encoding": {"x": x, "y": chart_parts.quantity("value", f"median latency ({unit})")},
    }  # fmt: skip
    answered = sum(a_bin.trials - a_bin.errors for a_bin, _ in medians)
    caption = f"median of the answers sent in each bar; n\u00a0=\u00a0{answered:,} answers"
    return Chart("Latency over time", caption, spec, wide=True)
