"""Plots of load points: latency against throughput, token times by setting, timelines."""

from __future__ import annotations

from typing import Any

from evalharness.process.text import plural
from evalharness.records import canonical_json
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.html.series import Series

MAX_TIMELINES = 6  # load points with plots over time
_LOG_FROM = 20.0
MAX_CURVES = len(palette.SERIES)


def load_charts(data: Row, series: dict[str, Series]) -> list[Chart]:
    """The plots of the load section; none in batch evaluation."""
    section = data["load"]
    if section is None:
        return []
    points: list[Row] = section["points"]
    charts = [
        _curve(points, "latency_s", "Latency against throughput", "latency (s)"),
        _curve(points, "ttft_s", "First token against throughput", "time to first token (s)"),
        _ecdf(section, series, "ttft_s", "Time to first token", 1.0, "seconds to the first token"),
        _ecdf(section, series, "tpot_s", "Time per output token", 1e3, "milliseconds a token"),
    ]
    known = [chart for chart in charts if chart is not None]
    for point in points[:MAX_TIMELINES]:
        known += _timeline_charts(point)
    return known


def _curves(points: list[Row]) -> list[tuple[str, list[Row]]]:
    """Load points that differ only in the load, by name, in the order of their load."""
    groups: dict[bytes, list[Row]] = {}
    for point in points:
        key = canonical_json([point["load"]["arrival"], point["asked"]])
        groups.setdefault(key, []).append(point)
    names: list[str] = []
    for group in groups.values():
        models = sorted({str(parameters["model"]) for parameters in group[0]["asked"]})
        names.append(f"{', '.join(models)}, {group[0]['load']['arrival']}")
    shown = chart_parts.names_for(names, 40)
    return [
        (name, sorted(group, key=_offered_load))
        for name, group in zip(shown, groups.values(), strict=True)
    ][:MAX_CURVES]


def _offered_load(point: Row) -> float:
    offered = point["concurrency"]["asked"] or point["load"].get("rate") or 0.0
    return float(offered)


def _curve(points: list[Row], metric: str, title: str, axis: str) -> Chart | None:
    """Times from schedule and from sending, against the throughput."""
    values: list[Row] = []
    looks: list[Series] = []
    for index, (label, group) in enumerate(_curves(points)):
        if len(group) < 2:
            continue
        colour = palette.SERIES[index]
        for origin, dash, shape in (
            ("scheduled", (1, 0), "circle"), ("sent", (5, 3), "square"),
        ):  # fmt: skip
            key = f"{index}{origin}"
            look = Series(
                key=key, label=f"{label}, from {origin}", colour=colour, dash=dash, shape=shape
            )
            looks.append(look)
            values += [
                {
                    "x": point["throughput_per_s"], "value": point[metric][origin][name],
                    "key": key, "detail": key + name, "order": order,
                }
                for order, point in enumerate(group)
                for name in ("p50", "p95")
                if point["throughput_per_s"] is not None
                and point[metric][origin][name] is not None
            ]  # fmt: skip
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
    invalid = sum(not point["valid"] for point in points)
    note = f"; {plural(invalid, 'invalid load point')} included" if invalid else ""
    caption = (
        f"a mark a load point, joined by rising load; lower line: median, upper: 95th "
        f"percentile{note}"
    )
    return Chart(title, caption, spec, tuple(looks), wide=True)


def _ecdf(
    section: Row, series: dict[str, Series], metric: str, title: str, scale: float, axis: str
) -> Chart | None:
    """The distribution of a token time for each setting; of a search at its reported rate."""
    left_out = {
        (setting, rate)
        for search in section["searches"]
        for setting in search["settings"]
        for rate in search["rates"]
        if rate != search["shown_rate"]
    }
    values: list[Row] = []
    looks: dict[str, Series] = {}
    sizes: list[int] = []
    for point in section["points"]:
        for row in point["settings"]:
            look, distribution = series.get(row["setting_id"]), row["ecdf"][metric]
            if look is None or not distribution["n"]:
                continue
            if (row["setting_id"], point["load"].get("rate")) in left_out:
                continue
            looks[look.key] = look
            sizes.append(distribution["n"])
            values += [
                {"x": scale * x, "value": y, "key": look.key, "order": y}
                for x, y in distribution["ecdf"]
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


def _timeline_charts(point: Row) -> list[Chart]:
    """One load point over time: requests in flight, rates, errors and chunks."""
    timeline = point["timeline"]
    if timeline is None:
        return []
    bins: list[Row] = timeline["bins"]
    half = timeline["bin_s"] / 2
    times = [a_bin["at_s"] + half for a_bin in bins]
    window = ""
    if timeline["begin_s"] is not None and timeline["end_s"] is not None:
        window = f"; measured from {timeline['begin_s']:.3g} s to {timeline['end_s']:.3g} s"
    flight = [{"x": x, "value": b["in_flight"]} for x, b in zip(times, bins, strict=True)]
    kinds = (
        ("0", "due", "due", palette.SERIES[6], (5, 3)),
        ("1", "done", "done", palette.SERIES[0], (1, 0)),
        ("2", "failed", "failed", palette.BAD, (2, 2)),
    )
    rates = [
        {"x": x, "value": b[name], "key": key, "order": x}
        for key, name, _, _, _ in kinds
        for x, b in zip(times, bins, strict=True)
    ]
    looks = [
        Series(key=key, label=label, colour=colour, dash=dash, shape="circle")
        for key, _, label, colour, dash in kinds
    ]
    charts = [
        Chart("In flight", f"mean of each {timeline['bin_s']:.3g} s{window}",
              _area(flight, "requests in flight"),
              row=chart_parts.names_for([point["label"]], 80)[0]),
        Chart("Requests a second", "by when they were due, were done, or failed",
              _rates(rates, looks), tuple(looks)),
    ]  # fmt: skip
    if any(b["chunks"] for b in bins):
        chunks = [{"x": x, "value": b["chunks"]} for x, b in zip(times, bins, strict=True)]
        charts.append(
            Chart(
                "Chunks a second", "content chunks of measured requests", _area(chunks, "chunks/s")
            )
        )
    return charts


def _area(values: list[Row], axis: str) -> dict[str, Any]:
    return {
        "width": chart_parts.WIDTH,
        "height": chart_parts.HEIGHT,
        "data": {"values": values},
        "mark": {
            "type": "area", "interpolate": "step", "color": palette.SERIES[5],
            "line": {"color": palette.SERIES[0], "strokeWidth": 1},
        },
        "encoding": {
            "x": chart_parts.quantity("x", "seconds"),
            "y": chart_parts.quantity("value", axis),
        },
    }  # fmt: skip


def _rates(values: list[Row], looks: list[Series]) -> dict[str, Any]:
    x, y = chart_parts.quantity("x", "seconds"), chart_parts.quantity("value", "requests/s")
    spec = chart_parts.lines(values, looks, x, y, interpolate="step", strokeWidth=1.4)
    spec["layer"][0]["encoding"]["order"] = {"field": "order"}
    return spec
