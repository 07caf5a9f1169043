"""The plot of score against cost, coloured by agreement."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.process.text import plural
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Row
from evalharness.report.words.format_numbers import time_unit
from evalharness.report.words.sanitize import one_line

_WIDTH, _HEIGHT = 440, 250
_PADDING = (24, 18)  # of the scales, in pixels
_LETTER, _LINE = 5.7, 12  # pixels of a name: the width of a letter, the height of the line
_DOT = 7  # radius of a point, in pixels
_MIN_POINTS = 2
#: The positions of a name beside its point: alignment, and distance in pixels.
_SIDES: tuple[tuple[str, int, int], ...] = (
    ("left", _DOT + 3, 0), ("right", -_DOT - 3, 0), ("center", 0, -_DOT - _LINE // 2 - 1),
    ("center", 0, _DOT + _LINE // 2 + 1),
)  # fmt: skip


def tradeoff_charts(data: Row) -> list[Chart]:
    """Plot score against cost, coloured by agreement; settings that no other beats are ringed.

    Names are shown where there is room for them, those of the unbeaten settings first.

    Where nothing costs anything, or no price is known, the mean latency replaces the cost; where
    nothing is scored, or all scores are equal, agreement replaces the score.
    """
    points = _points(data)
    if len(points) < _MIN_POINTS:
        return []
    scores = {p["score"] for p in points}
    scored = None not in scores and len(scores) > 1
    has_costs = all(p["cost"] is not None for p in points) and any(p["cost"] for p in points)
    x_field = "cost" if has_costs else "latency"
    y_field = "score" if scored else "agreement"
    shown = [p for p in points if p[x_field] is not None and p[y_field] is not None]
    if len(shown) < _MIN_POINTS:
        return []
    for point in shown:
        point["unbeaten"] = not any(_beats(o, point, x_field, y_field) for o in shown)
    unit, scale = time_unit(max(p["latency"] or 0.0 for p in shown))
    if x_field == "latency":
        for point in shown:
            point["latency"] *= scale
    named = place_names(shown, x_field, y_field)
    titles = {
        "cost": "US dollars per 1,000 requests", "latency": f"mean latency ({unit})",
        "score": "mean score", "agreement": "same text",
    }  # fmt: skip
    spec = _spec(shown, named, x_field, y_field, titles)
    replaced = "" if has_costs else "; no costs to compare, so latency stands for them"
    without = len(shown) - len(named)
    crowded = f"; {without} without room for a name" if without else ""
    criteria = f"{titles[x_field]}{', mean score' if scored else ''} and agreement together"
    caption = (
        f"{plural(len(shown), 'setting')}; stronger colour: the same text more often; ringed: "
        f"beaten by no other in {criteria}"
        f"{crowded}{replaced}"
    )
    title = "Cost" if has_costs else "Latency"
    title += ", score and agreement" if scored else " and agreement"
    return [Chart(title, caption, spec, wide=True)]


def _points(data: Row) -> list[Row]:
    points: list[Row] = []
    for row, distribution in zip(data["settings"], data["distributions"], strict=True):
        agreement = row["agreement"]["raw"]["pairwise"]
        points.append(
            {
                "label": one_line(row["label"], 26),
                "agreement": agreement,
                "heat": 0.0 if agreement is None else agreement,
                "score": None if row["score"] is None else row["score"]["mean"],
                "cost": row["cost_usd"]["per_1k_requests"],
                "latency": distribution["means"]["latency_s"]["mean"],
            }
        )
    return points


def _beats(a: Row, b: Row, x: str, y: str) -> bool:
    """Whether ``a`` is as good in everything and better in something; agreement if both have it."""
    gains = [b[x] - a[x], a[y] - b[y]]
    if a["agreement"] is not None and b["agreement"] is not None:
        gains.append(a["agreement"] - b["agreement"])
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)


def _spec(shown: list[Row], named: list[Row], x: str, y: str, titles: dict[str, str]) -> Row:
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": shown},
        "encoding": {
            "x": chart_parts.quantity(
                x, titles[x], scale={"domain": _range(shown, x, None), "padding": _PADDING[0]}
            ),
            "y": chart_parts.quantity(
                y, titles[y], axis={"format": chart_parts.PERCENT},
                scale={"domain": _range(shown, y, 1.0), "padding": _PADDING[1]},
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

    def overlaps(self, other: Box) -> bool:
        """Whether two rectangles share an inner point."""
        return (
            self.left < other.right and other.left < self.right
            and self.top < other.bottom and other.top < self.bottom
        )  # fmt: skip


def place_names(shown: list[Row], x: str, y: str) -> list[Row]:
    """Return the points that can be named without covering a point or another name.

    Unbeaten ones are placed first. Each has its ``side``, an index of :data:`_SIDES`.
    """
    positions = [_pixel_position(point, shown, x, y) for point in shown]
    taken = [Box(a - _DOT, b - _DOT, a + _DOT, b + _DOT) for a, b in positions]
    placed: list[Row] = []
    for index in sorted(range(len(shown)), key=lambda i: not shown[i]["unbeaten"]):
        for side in range(len(_SIDES)):
            named = {**shown[index], "side": side}
            candidate = name_box(named, shown, x, y)
            inside = candidate.left >= 0 and candidate.right <= _WIDTH and candidate.top >= 0
            others = (other for i, other in enumerate(taken) if i != index)
            if inside and candidate.bottom <= _HEIGHT and not any(map(candidate.overlaps, others)):
                taken.append(candidate)
                placed.append(named)
                break
    return placed


def name_box(named: Row, shown: list[Row], x: str, y: str) -> Box:
    """The rectangle of the name of a point."""
    (across, down), wide = _pixel_position(named, shown, x, y), _LETTER * len(named["label"])
    side: int = named["side"]
    align, dx, dy = _SIDES[side]
    left = across + dx - {"left": 0.0, "right": wide, "center": wide / 2}[align]
    return Box(left, down + dy - _LINE / 2, left + wide, down + dy + _LINE / 2)


def _pixel_position(point: Row, shown: list[Row], x: str, y: str) -> tuple[float, float]:
    """The position of a point in the plot, in pixels."""
    (left, right), (low, high) = _range(shown, x, None), _range(shown, y, 1.0)
    across = (point[x] - left) / (right - left or 1.0)
    up = (point[y] - low) / (high - low or 1.0)
    (pad_x, pad_y) = _PADDING
    return (
        pad_x + across * (_WIDTH - 2 * pad_x),
        pad_y + (1 - up) * (_HEIGHT - 2 * pad_y),
    )


def _range(shown: list[Row], field: str, upper: float | None) -> list[float]:
    """The range of the points, at least a tenth of the scale, so that noise is not magnified.

    The scale is from 0 to ``upper``, or to the largest value where ``upper`` is None.
    """
    values = [float(point[field]) for point in shown]
    low, high = min(values), max(values)
    minimum = 0.1 * (high if upper is None else upper)
    margin = max(0.0, minimum - (high - low)) / 2
    ceiling = high + margin if upper is None else min(upper, high + margin)
    return [max(0.0, low - margin), max(ceiling, low + minimum) if upper is None else ceiling]
