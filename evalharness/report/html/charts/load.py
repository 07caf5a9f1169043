"""Load points: the latency–throughput curve, token times by setting, and how each point went."""

from __future__ import annotations

from typing import Any

from evalharness.records import canonical_json
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.html.series import Series
from evalharness.report.words import format_numbers as n

TIMELINES = 6  # load points whose course is drawn
_LOG_FROM = 20.0
CURVES = len(palette.SERIES)


def load(data: Row, series: dict[str, Series]) -> list[Chart]:
    """The plots of the load section; none in batch evaluation."""
    found = data["load"]
    if found is None:
        return []
    points: list[Row] = found["points"]
    charts = [
        _curve(points, "latency_s", "Latency against throughput", "latency (s)"),
        _curve(points, "ttft_s", "First token against throughput", "time to first token (s)"),
        _ecdf(found, series, "ttft_s", "Time to first token", 1.0, "seconds to the first token"),
        _ecdf(found, series, "tpot_s", "Time per output token", 1e3, "milliseconds a token"),
    ]
    drawn = [chart for chart in charts if chart is not None]
    for point in points[:TIMELINES]:
        drawn += _course(point)
    return drawn


def _curves(points: list[Row]) -> list[tuple[str, list[Row]]]:
    """Load points that differ in the load alone, by name, in the order of their load."""
    groups: dict[bytes, list[Row]] = {}
    for point in points:
        groups.setdefault(canonical_json([point["load"]["arrival"], point["asked"]]), []).append(
            point
        )
    names: list[str] = []
    for group in groups.values():
        models = sorted({str(asked["model"]) for asked in group[0]["asked"]})
        names.append(f"{', '.join(models)}, {group[0]['load']['arrival']}")
    shown = chart_parts.names_for(names, 40)
    return [
        (name, sorted(group, key=_offered))
        for name, group in zip(shown, groups.values(), strict=True)
    ][:CURVES]


def _offered(point: Row) -> float:
    asked = point["concurrency"]["asked"] or point["load"].get("rate") or 0.0
    return float(asked)


def _curve(points: list[Row], metric: str, title: str, axis: str) -> Chart | None:
    """What it took, from schedule and from sending, against what came out."""
    values: list[Row] = []
    looks: list[Series] = []
    for place, (label, group) in enumerate(_curves(points)):
        if len(group) < 2:
            continue
        colour = palette.SERIES[place]
        for origin, dash, shape in (
            ("scheduled", (1, 0), "circle"), ("sent", (5, 3), "square"),
        ):  # fmt: skip
            key = f"{place}{origin}"
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
    # In the order of the load asked for: a server that is overrun turns back.
    spec["layer"][0]["encoding"]["order"] = {"field": "order"}
    spec["width"] = 450
    invalid = sum(not point["valid"] for point in points)
    beside = f"; {n.plural(invalid, 'invalid load point')} included" if invalid else ""
    caption = (
        f"a mark a load point, joined by rising load; lower line: median, upper: 95th "
        f"percentile{beside}"
    )
    return Chart(title, caption, spec, tuple(looks), wide=True)


def _ecdf(
    found: Row, series: dict[str, Series], metric: str, title: str, scale: float, axis: str
) -> Chart | None:
    """Distribution of a token time for every setting; of a search the rate that stands for it."""
    left_out = {
        (setting, rate)
        for search in found["searches"]
        for setting in search["settings"]
        for rate in search["rates"]
        if rate != search["shown_rate"]
    }
    values: list[Row] = []
    looks: dict[str, Series] = {}
    sizes: list[int] = []
    for point in found["points"]:
        for row in point["settings"]:
            look, drawn = series.get(row["setting_id"]), row["ecdf"][metric]
            if look is None or not drawn["n"]:
                continue
            if (row["setting_id"], point["load"].get("rate")) in left_out:
                continue
            looks[look.key] = look
            sizes.append(drawn["n"])
            values += [
                {"x": scale * x, "value": y, "key": look.key, "order": y} for x, y in drawn["ecdf"]
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
    size = chart_parts.sizes(sizes)
    caption = f"from sending; n\u00a0=\u00a0{size} answers a line"
    return Chart(title, caption, spec, tuple(shown), wide=True)


def _course(point: Row) -> list[Chart]:
    """A load point over time: requests in flight, rates with errors, and chunks."""
    found = point["timeline"]
    if found is None:
        return []
    bins: list[Row] = found["bins"]
    half = found["bin_s"] / 2
    at = [place["at_s"] + half for place in bins]
    window = ""
    if found["begin_s"] is not None and found["end_s"] is not None:
        window = f"; measured from {found['begin_s']:.3g} s to {found['end_s']:.3g} s"
    flight = [{"x": x, "value": b["in_flight"]} for x, b in zip(at, bins, strict=True)]
    kinds = (
        ("0", "due", "due", palette.SERIES[6], (5, 3)),
        ("1", "done", "done", palette.SERIES[0], (1, 0)),
        ("2", "failed", "failed", palette.BAD, (2, 2)),
    )
    rates = [
        {"x": x, "value": b[name], "key": key, "order": x}
        for key, name, _, _, _ in kinds
        for x, b in zip(at, bins, strict=True)
    ]
    looks = [
        Series(key=key, label=label, colour=colour, dash=dash, shape="circle")
        for key, _, label, colour, dash in kinds
    ]
    charts = [
        Chart("In flight", f"mean of each {found['bin_s']:.3g} s{window}",
              _area(flight, "requests in flight"),
              row=chart_parts.names_for([point["label"]], 80)[0]),
        Chart("Requests a second", "by when they were due, were done, or failed",
              _rates(rates, looks), tuple(looks)),
    ]  # fmt: skip
    if any(b["chunks"] for b in bins):
        chunks = [{"x": x, "value": b["chunks"]} for x, b in zip(at, bins, strict=True)]
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
