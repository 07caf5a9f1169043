"""Cost, quality and agreement in one picture."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.words import format_numbers as n
from evalharness.report.words.sanitize import one_line

_WIDTH, _HEIGHT = 440, 250
_PADDING = (24, 18)  # of the scales, in pixels
_LETTER, _LINE = 5.7, 12  # pixels of a name: the width of a letter, the height of the line
_DOT = 7  # radius of a point, in pixels
_DISTINCT = 2
#: Where a name can stand: alignment, and its distance from the point in pixels.
_SIDES: tuple[tuple[str, int, int], ...] = (
    ("left", _DOT + 3, 0), ("right", -_DOT - 3, 0), ("center", 0, -_DOT - _LINE // 2 - 1),
    ("center", 0, _DOT + _LINE // 2 + 1),
)  # fmt: skip


def tradeoffs(data: Row) -> list[Chart]:
    """What a better score costs, coloured by agreement; the settings that no other beats ringed.

    Names stand where there is room for them, those of the unbeaten settings first.

    Where nothing costs anything, or no price is known, the mean latency stands for the cost; where
    nothing is scored, or all score alike, agreement stands for the score.
    """
    points = _points(data)
    if len(points) < _DISTINCT:
        return []
    scores = {p["score"] for p in points}
    scored = None not in scores and len(scores) > 1
    dear = all(p["cost"] is not None for p in points) and any(p["cost"] for p in points)
    x_field = "cost" if dear else "latency"
    y_field = "score" if scored else "agreement"
    drawn = [p for p in points if p[x_field] is not None and p[y_field] is not None]
    if len(drawn) < _DISTINCT:
        return []
    for point in drawn:
        point["unbeaten"] = not any(_beats(o, point, x_field, y_field) for o in drawn)
    unit, scale = n.time_unit(max(p["latency"] or 0.0 for p in drawn))
    if x_field == "latency":
        for point in drawn:
            point["latency"] *= scale
    named = names(drawn, x_field, y_field)
    titles = {
        "cost": "US dollars per 1,000 requests", "latency": f"mean latency ({unit})",
        "score": "mean score", "agreement": "same text",
    }  # fmt: skip
    spec = _spec(drawn, named, x_field, y_field, titles)
    instead = "" if dear else "; no costs to compare, so latency stands for them"
    without = len(drawn) - len(named)
    crowded = f"; {without} without room for a name" if without else ""
    together = f"{titles[x_field]}{', mean score' if scored else ''} and agreement together"
    caption = (
        f"{n.plural(len(drawn), 'setting')}; stronger colour: the same text more often; ringed: "
        f"beaten by no other in {together}"
        f"{crowded}{instead}"
    )
    title = "Cost" if dear else "Latency"
    title += ", score and agreement" if scored else " and agreement"
    return [Chart(title, caption, spec, wide=True)]


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
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": drawn},
        "encoding": {
            "x": chart_parts.quantity(
                x, titles[x], scale={"domain": _range(drawn, x, None), "padding": _PADDING[0]}
            ),
            "y": chart_parts.quantity(
                y, titles[y], axis={"format": chart_parts.PERCENT},
                scale={"domain": _range(drawn, y, 1.0), "padding": _PADDING[1]},
            ),
        },
        "layer": [
            {
                "transform": [{"filter": {"field": "unbeaten", "equal": unbeaten}}],
                "mark": {
                    "type": "point", "filled": True, "opacity": 1, "size": 110,
                    "stroke": palette.INK if unbeaten else palette.RULE,
                    "strokeWidth": 2.2 if unbeaten else 0.8,
                },
                "encoding": {"fill": chart_parts.heat("heat", 0.0, 1.0)},
            }
            for unbeaten in (False, True)
        ] + [
            {
                "data": {"values": [p for p in named if p["side"] == side]},
                "mark": {
                    "type": "text", "align": align, "baseline": "middle", "color": palette.INK,
                    "dx": dx, "dy": dy,
                },
                "encoding": {"text": {"field": "label"}},
            }
            for side, (align, dx, dy) in enumerate(_SIDES)
        ],
    }  # fmt: skip


class Box(NamedTuple):
    """A rectangle in the plot, in pixels from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether two rectangles share a point inside."""
        return (
            self.left < other.right and other.left < self.right
            and self.top < other.bottom and other.top < self.bottom
        )  # fmt: skip


def names(drawn: list[Row], x: str, y: str) -> list[Row]:
    """The points that can be named without covering a point or another name.

    Unbeaten ones choose first. Each has its ``side``, an index of :data:`_SIDES`.
    """
    spots = [_spot(point, drawn, x, y) for point in drawn]
    taken = [Box(a - _DOT, b - _DOT, a + _DOT, b + _DOT) for a, b in spots]
    chosen: list[Row] = []
    for index in sorted(range(len(drawn)), key=lambda i: not drawn[i]["unbeaten"]):
        for side in range(len(_SIDES)):
            named = {**drawn[index], "side": side}
            place = box(named, drawn, x, y)
            inside = place.left >= 0 and place.right <= _WIDTH and place.top >= 0
            others = (other for i, other in enumerate(taken) if i != index)
            if inside and place.bottom <= _HEIGHT and not any(map(place.meets, others)):
                taken.append(place)
                chosen.append(named)
                break
    return chosen


def box(named: Row, drawn: list[Row], x: str, y: str) -> Box:
    """Where the name of a point stands."""
    (across, down), wide = _spot(named, drawn, x, y), _LETTER * len(named["label"])
    side: int = named["side"]
    align, dx, dy = _SIDES[side]
    left = across + dx - {"left": 0.0, "right": wide, "center": wide / 2}[align]
    return Box(left, down + dy - _LINE / 2, left + wide, down + dy + _LINE / 2)


def _spot(point: Row, drawn: list[Row], x: str, y: str) -> tuple[float, float]:
    """Where a point stands in the plot, in pixels."""
    (left, right), (low, high) = _range(drawn, x, None), _range(drawn, y, 1.0)
    across = (point[x] - left) / (right - left or 1.0)
    up = (point[y] - low) / (high - low or 1.0)
    (beside, above) = _PADDING
    return (
        beside + across * (_WIDTH - 2 * beside),
        above + (1 - up) * (_HEIGHT - 2 * above),
    )


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
