"""Plots of load points: latency against throughput, token times by setting, timelines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evalharness.analysis.distributions import Ecdf
from evalharness.analysis.load.load_metrics import MetricSummary, TimesByOrigin
from evalharness.process.text import plural
from evalharness.records import canonical_json
from evalharness.report.build.load_data import LoadData, LoadPoint, TokenTimes
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.html.series import Series
from evalharness.report.sections.load.sweep_charts import capacity_chart, with_sweeps

MAX_TIMELINES = 6  # load points with plots over time
_LOG_FROM = 20.0
MAX_CURVES = len(palette.SERIES)


def load_charts(data: LoadData, series: Mapping[str, Series]) -> list[Chart]:
    """The plots of the load section."""
    points = data.points
    curves = [
        _curve(points, lambda p: p.latency_s, "Latency against throughput", "latency (s)"),
        _curve(
            points, lambda p: p.ttft_s, "First token against throughput", "time to first token (s)"
        ),
    ]
    charts = [
        *(None if curve is None else with_sweeps(curve, data.sweeps) for curve in curves),
        capacity_chart(data),
        _ecdf(
            data, series, lambda t: t.ttft_s, "Time to first token", 1.0,
            "seconds to the first token",
        ),
        _ecdf(
            data, series, lambda t: t.tpot_s, "Time per output token", 1e3, "milliseconds a token"
        ),
    ]  # fmt: skip
    known = [chart for chart in charts if chart is not None]
    for point in points[:MAX_TIMELINES]:
        known += _timeline_charts(point)
    return known


def _curves(points: list[LoadPoint]) -> list[tuple[str, list[LoadPoint]]]:
    """Load points that differ only in the load, by name, in the order of their load."""
    groups: dict[bytes, list[LoadPoint]] = {}
    for point in points:
        key = canonical_json([_pattern(point), point.parameters])
        groups.setdefault(key, []).append(point)
    names: list[str] = []
    for group in groups.values():
        models = sorted({str(parameters.model) for parameters in group[0].parameters})
        names.append(f"{', '.join(models)}, {_pattern(group[0])}")
    shown = chart_parts.names_for(names, 40)
    return [
        (name, sorted(group, key=_offered_load))
        for name, group in zip(shown, groups.values(), strict=True)
    ][:MAX_CURVES]


def _pattern(point: LoadPoint) -> str:
    """What joins load points to one curve: the arrival, or being of one sweep."""
    return "load=sweep" if point.load.get("sweep") else str(point.load["arrival"])


def _offered_load(point: LoadPoint) -> float:
    if point.load.get("sweep"):
        return 0.0  # in the order of the points, which is by rising load
    sessions = None if point.sessions is None else point.sessions.requested_in_flight
    return float(point.concurrency.requested or sessions or point.load.get("rate") or 0.0)


def _curve(
    points: list[LoadPoint], times_of: Callable[[LoadPoint], TimesByOrigin], title: str, axis: str
) -> Chart | None:
    """Times from schedule and from sending, against the throughput."""
    values: list[Spec] = []
    looks: list[Series] = []
    for index, (label, group) in enumerate(_curves(points)):
        if len(group) < 2:
            continue
        colour = palette.SERIES[index]
        from_schedule = Series(
            key=f"{index}scheduled", label=f"{label}, from scheduled", colour=colour, dash=(1, 0),
            shape="circle",
        )  # fmt: skip
        from_sending = Series(
            key=f"{index}sent", label=f"{label}, from sent", colour=colour, dash=(5, 3),
            shape="square",
        )  # fmt: skip
        looks += [from_schedule, from_sending]
        values += _curve_values(from_schedule.key, group, lambda p: times_of(p).scheduled)
        values += _curve_values(from_sending.key, group, lambda p: times_of(p).sent)
    if not values:
        return None
    low, high = min(v["value"] for v in values), max(v["value"] for v in values)
    log = low > 0 and high / low > _LOG_FROM
    y = chart_parts.quantity(
        "value", axis + (", logarithmic" if log else ""), axis={"format": "~g"},
        scale={"type": "log", "nice": False} if log else {"zero": True},
    )  # fmt: skip
    x = chart_parts.quantity("x", "answers completed a second")
    spec = chart_parts.with_points(chart_parts.lines(values, looks, x, y, strokeWidth=1.6), looks)
    spec["layer"][0]["encoding"]["detail"] = {"field": "detail"}
    # In the order of the offered load: an overloaded server makes the curve turn back.
    spec["layer"][0]["encoding"]["order"] = {"field": "order"}
    spec["width"] = 450
    invalid = sum(not point.valid for point in points)
    note = f"; {plural(invalid, 'invalid load point')} included" if invalid else ""
    caption = (
        f"a mark a load point, joined by rising load; lower line: median, upper: 95th "
        f"percentile{note}"
    )
    return Chart(title, caption, spec, tuple(looks), wide=True)


def _curve_values(
    key: str, group: list[LoadPoint], summary_of: Callable[[LoadPoint], MetricSummary]
) -> list[Spec]:
    """The medians and the 95th percentiles of load points in their order."""
    values: list[Spec] = []
    for order, point in enumerate(group):
        x, summary = point.throughput_per_s, summary_of(point)
        values += [
            {"x": x, "value": value, "key": key, "detail": key + name, "order": order}
            for name, value in (("p50", summary.p50), ("p95", summary.p95))
            if x is not None and value is not None
        ]
    return values


def _ecdf(
    data: LoadData,
    series: Mapping[str, Series],
    ecdf_of: Callable[[TokenTimes], Ecdf],
    title: str,
    scale: float,
    axis: str,
) -> Chart | None:
    """The distribution of a token time for each setting; of searches at the shown point."""
    left_out = {
        (setting, rate)
        for search in data.searches
        for setting in search.settings
        for rate in search.rates
        if rate != search.shown_rate
    }
    steps = {number for sweep in data.sweeps for number in sweep.measurements}
    hidden = steps - {sweep.shown_measurement for sweep in data.sweeps}
    values: list[Spec] = []
    looks: dict[str, Series] = {}
    sizes: list[int] = []
    for point in data.points:
        for row in point.settings if point.measurement not in hidden else ():
            look, distribution = series.get(row.setting_id), ecdf_of(row.ecdf)
            if look is None or not distribution.n:
                continue
            if (row.setting_id, point.load.get("rate")) in left_out:
                continue
            looks[look.key] = look
            sizes.append(distribution.n)
            values += [
                {"x": scale * x, "value": y, "key": look.key, "order": y}
                for x, y in distribution.ecdf
            ]
    if not values:
        return None
    low, high = min(v["x"] for v in values), max(v["x"] for v in values)
    log = low > 0 and high / low > _LOG_FROM
    x = chart_parts.quantity(
        "x", axis + (", logarithmic" if log else ""), axis={"format": "~g"},
        scale={"type": "log", "nice": False} if log else {"zero": True},
    )  # fmt: skip
    shown = list(looks.values())
    spec = chart_parts.lines(
        values, shown, x, chart_parts.share("value", "share within"),
        interpolate="step-after", strokeWidth=1.6,
    )  # fmt: skip
    spec["layer"][0]["encoding"]["order"] = {"field": "order"}
    spec["width"] = 450
    size = chart_parts.range_text(sizes)
    caption = f"from sending; n\u00a0=\u00a0{size} answers a line"
    return Chart(title, caption, spec, tuple(shown), wide=True)


def _timeline_charts(point: LoadPoint) -> list[Chart]:
    """One load point over time: requests in flight, rates, errors and chunks."""
    timeline = point.timeline
    if timeline is None:
        return []
    bins = timeline.bins
    times = [a_bin.at_s + timeline.bin_s / 2 for a_bin in bins]
    window = ""
    if timeline.begin_s is not None and timeline.end_s is not None:
        window = f"; measured from {timeline.begin_s:.3g} s to {timeline.end_s:.3g} s"
    flight, chunks = [a_bin.in_flight for a_bin in bins], [a_bin.chunks for a_bin in bins]
    kinds = (
        (_rate_look("0", "due", palette.SERIES[6], (5, 3)), [a_bin.due for a_bin in bins]),
        (_rate_look("1", "done", palette.SERIES[0], (1, 0)), [a_bin.done for a_bin in bins]),
        (_rate_look("2", "failed", palette.BAD, (2, 2)), [a_bin.failed for a_bin in bins]),
    )
    rates = [
        {"x": x, "value": value, "key": look.key, "order": x}
        for look, values in kinds
        for x, value in zip(times, values, strict=True)
    ]
    looks = tuple(look for look, _ in kinds)
    charts = [
        Chart("In flight", f"mean of each {timeline.bin_s:.3g} s{window}",
              _area(times, flight, "requests in flight"),
              row=chart_parts.names_for([point.label], 80)[0]),
        Chart("Requests a second", "by when they were due, were done, or failed",
              _rates(rates, looks), looks),
    ]  # fmt: skip
    if any(chunks):
        caption = "content chunks of measured requests"
        charts.append(Chart("Chunks a second", caption, _area(times, chunks, "chunks/s")))
    return charts


def _rate_look(key: str, label: str, colour: str, dash: tuple[int, int]) -> Series:
    return Series(key=key, label=label, colour=colour, dash=dash, shape="circle")


def _area(times: list[float], values: list[float], axis: str) -> Spec:
    return {
        "width": chart_parts.WIDTH,
        "height": chart_parts.HEIGHT,
        "data": {"values": [{"x": x, "value": v} for x, v in zip(times, values, strict=True)]},
        "mark": {
            "type": "area", "interpolate": "step", "color": palette.SERIES[5],
            "line": {"color": palette.SERIES[0], "strokeWidth": 1},
        },
        "encoding": {
            "x": chart_parts.quantity("x", "seconds"),
            "y": chart_parts.quantity("value", axis),
        },
    }  # fmt: skip


def _rates(values: list[Spec], looks: Sequence[Series]) -> Spec:
    x, y = chart_parts.quantity("x", "seconds"), chart_parts.quantity("value", "requests/s")
    spec = chart_parts.lines(values, looks, x, y, interpolate="step", strokeWidth=1.4)
    spec["layer"][0]["encoding"]["order"] = {"field": "order"}
    return spec
