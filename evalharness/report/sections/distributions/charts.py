"""Plots of time and tokens: latency distributions and output lengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from evalharness.analysis.distributions import Distribution, Ecdf
from evalharness.analysis.summary import SettingSummary
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.html.series import Series
from evalharness.report.words.format_numbers import time_unit

MAX_BARS = 30
_LOG_FROM = 20.0  # from this ratio of largest to smallest the scale is logarithmic


class EcdfPlot(msgspec.Struct, frozen=True):
    """A plot of distributions.

    Attributes:
        title: of the figure.
        axis: the title of its axis.
        ecdf: the distribution of a setting.
    """

    title: str
    axis: str
    ecdf: Callable[[Distribution], Ecdf]


_ECDF_PLOTS = (
    EcdfPlot("Latency", "time to the complete answer", lambda row: row.latency_s),
    EcdfPlot("First token", "time to the first token", lambda row: row.ttft_s),
)


def speed_charts(
    settings: Sequence[SettingSummary],
    distributions: Sequence[Distribution],
    series: Mapping[str, Series],
) -> list[Chart]:
    """Latency and first-token distributions, and the length of outputs."""
    charts = [
        *(_ecdf(distributions, series, plot) for plot in _ECDF_PLOTS),
        _lengths([row.label for row in settings], distributions),
    ]
    return [chart for chart in charts if chart is not None]


def _ecdf(
    distributions: Sequence[Distribution], series: Mapping[str, Series], plot: EcdfPlot
) -> Chart | None:
    values: list[Spec] = []
    sizes: list[int] = []
    for distribution in distributions:
        look, ecdf = series.get(distribution.setting_id), plot.ecdf(distribution)
        if look is None or not ecdf.n:
            continue
        sizes.append(ecdf.n)
        values += [{"x": x, "value": y, "key": look.key, "order": y} for x, y in ecdf.ecdf]
    if not values:
        return None
    shown = list(series.values())
    unit, scale = time_unit(max(v["x"] for v in values) / 10)
    for value in values:
        value["x"] *= scale
    low, high = min(v["x"] for v in values), max(v["x"] for v in values)
    log = low > 0 and high / low > _LOG_FROM
    ticks = {"values": chart_parts.log_ticks(low, high)} if log else {}
    title = f"{plot.axis} ({unit}{', logarithmic' if log else ''})"
    x = chart_parts.quantity(
        "x", title, axis={"format": "~r", **ticks},
        scale={"type": "log", "nice": False} if log else {"zero": True},
    )  # fmt: skip
    spec = chart_parts.lines(
        values, shown, x, chart_parts.share("value", "share of answers within"),
        interpolate="step-after", strokeWidth=1.6,
    )  # fmt: skip
    spec["layer"][0]["encoding"]["order"] = {"field": "order"}
    spec["width"] = 450
    return Chart(
        f"{plot.title} distribution",
        f"n\u00a0=\u00a0{chart_parts.range_text(sizes)} answers a line",
        spec,
        settings=tuple(shown),
        wide=True,
    )


def _lengths(labels: Sequence[str], distributions: Sequence[Distribution]) -> Chart | None:
    """Output lengths by setting: median, middle half, and the range from 5 % to 95 %."""
    names: list[str] = []
    values: list[Spec] = []
    shown = chart_parts.names_for(labels[:MAX_BARS], 26)
    for name, distribution in zip(shown, distributions, strict=False):
        if distribution.completion_tokens.n:
            names.append(name)
            values.append({"name": name, **msgspec.structs.asdict(distribution.completion_tokens)})
    if len({v[end] for v in values for end in ("p5", "p95")}) < 2:
        return None  # all outputs are equally long: the table shows it
    spec: Spec = {
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
    shown_text = f"; the first {MAX_BARS} of {len(labels)} settings"
    left_out = shown_text if len(labels) > MAX_BARS else ""
    caption = f"median, middle half, 5 % to 95 %; n\u00a0=\u00a0{size} outputs a setting{left_out}"
    return Chart("Length of outputs", caption, spec)
