"""Cost, quality and agreement in one picture."""

from __future__ import annotations

from typing import Any

from evalharness.report.html import palette
from evalharness.report.html.charts import parts
from evalharness.report.html.charts.parts import Chart, Row
from evalharness.report.text import one_line

_NAMED = 6
_ROOM = (0.3, 0.07)  # of the width and height of the plot, for a name
_DISTINCT = 2


def tradeoffs(data: Row) -> list[Chart]:
    """What a better score costs, coloured by agreement; the settings that no other beats named.

    Where nothing costs anything, or no price is known, the mean latency stands for the cost; where
    nothing is scored, agreement stands for the score.
    """
    points = _points(data)
    if len(points) < _DISTINCT:
        return []
    scored = all(p["score"] is not None for p in points)
    dear = all(p["cost"] is not None for p in points) and any(p["cost"] for p in points)
    x_field = "cost" if dear else "latency"
    y_field = "score" if scored else "agreement"
    drawn = [p for p in points if p[x_field] is not None and p[y_field] is not None]
    if len(drawn) < _DISTINCT:
        return []
    for point in drawn:
        point["unbeaten"] = not any(_beats(o, point, x_field, y_field) for o in drawn)
    named = _apart([p for p in drawn if p["unbeaten"]], drawn, x_field, y_field)
    titles = {
        "cost": "US dollars per 1,000 requests", "latency": "mean latency (s)",
        "score": "mean score", "agreement": "same text",
    }  # fmt: skip
    spec = _spec(drawn, named, x_field, y_field, titles)
    instead = "" if dear else "; no costs to compare, so latency stands for them"
    caption = (
        f"{len(drawn)} settings; darker: the same text more often; named, where there is "
        f"room: beaten by no other in {titles[x_field]}, {titles[y_field]} and agreement together"
        f"{instead}"
    )
    title = f"{'Cost' if dear else 'Latency'}, {'score' if scored else 'repeatability'}"
    return [Chart(f"{title} and agreement", caption, spec, wide=True)]


def _points(data: Row) -> list[Row]:
    points: list[Row] = []
    for row, drawn in zip(data["settings"], data["distributions"], strict=True):
        agreement = row["agreement"]["raw"]["pairwise"]
        points.append(
            {
                "label": one_line(row["label"], 26),
                "agreement": agreement,
                "heat": 0.0 if agreement is None else agreement,
                "score": None if row["score"] is None else row["score"]["mean"],
                "cost": row["cost_usd"]["per_1k_requests"],
                "latency": drawn["means"]["latency_s"]["mean"],
            }
        )
    return points


def _beats(one: Row, other: Row, x: str, y: str) -> bool:
    """At least as good in everything, better in something; agreement counts where both have it."""
    gains = [other[x] - one[x], one[y] - other[y]]
    if one["agreement"] is not None and other["agreement"] is not None:
        gains.append(one["agreement"] - other["agreement"])
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)


def _spec(drawn: list[Row], named: list[Row], x: str, y: str, titles: dict[str, str]) -> Row:
    return {
        "width": 440,
        "height": 230,
        "data": {"values": drawn},
        "encoding": {
            "x": parts.quantity(
                x, titles[x], scale={"domain": _range(drawn, x, None), "padding": 24}
            ),
            "y": parts.quantity(
                y, titles[y], axis={"format": parts.PERCENT},
                scale={"domain": _range(drawn, y, 1.0), "padding": 18},
            ),
        },
        "layer": [
            {
                "mark": {
                    "type": "point", "filled": True, "opacity": 1, "size": 110,
                    "stroke": palette.INK, "strokeWidth": 1,
                },
                "encoding": {"fill": parts.heat("heat", 0.0, 1.0)},
            },
            {
                "data": {"values": named},
                "mark": _text_mark(),
                "encoding": {"text": {"field": "label"}},
            },
        ],
    }  # fmt: skip


def _apart(points: list[Row], drawn: list[Row], x: str, y: str) -> list[Row]:
    """The points whose names do not fall on each other."""
    (left, right), (low, high) = _range(drawn, x, None), _range(drawn, y, 1.0)
    chosen: list[Row] = []
    for point in points[:_NAMED]:
        near = (
            abs(point[x] - other[x]) < _ROOM[0] * (right - left)
            and abs(point[y] - other[y]) < _ROOM[1] * (high - low)
            for other in chosen
        )
        if not any(near):
            chosen.append(point)
    return chosen


def _range(drawn: list[Row], field: str, most: float | None) -> list[float]:
    """Where the points lie, never so narrow that noise looks like a trade.

    A tenth of the scale at least: of 0 to ``most``, or of the largest value.
    """
    values = [float(point[field]) for point in drawn]
    low, high = min(values), max(values)
    least = 0.1 * (high if most is None else most)
    room = max(0.0, least - (high - low)) / 2
    ceiling = high + room if most is None else min(most, high + room)
    return [max(0.0, low - room), max(ceiling, low + least) if most is None else ceiling]


def _text_mark() -> dict[str, Any]:
    return {"type": "text", "align": "left", "dx": 9, "dy": -8, "color": palette.INK}
