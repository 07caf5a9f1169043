"""The plot of score against cost, coloured by agreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from evalharness.analysis.distributions import Distribution
from evalharness.analysis.summary import SettingSummary
from evalharness.process.text import plural
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.words.cost_origin import mark_of_all
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


class _Figures(NamedTuple):
    """What a setting is weighed by; None is unknown."""

    label: str
    cost: float | None
    latency: float | None
    score: float | None
    agreement: float | None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A setting in the plot; ``agreement`` None is unknown."""

    label: str
    x: float
    y: float
    agreement: float | None = None
    unbeaten: bool = False


class PointName(msgspec.Struct, frozen=True):
    """The name of a point, at one of :data:`_SIDES`."""

    point: Point
    side: int


def tradeoff_charts(
    settings: Sequence[SettingSummary], distributions: Sequence[Distribution]
) -> list[Chart]:
    """Plot score against cost, coloured by agreement; settings that no other beats are ringed.

    Names are shown where there is room for them, those of the unbeaten settings first.

    Where nothing costs anything, or no price is known, the mean latency replaces the cost; where
    nothing is scored, or all scores are equal, agreement replaces the score.

    Args:
        settings: of the report.
        distributions: of the same settings, in the same order.
    """
    rows = [_figures(*pair) for pair in zip(settings, distributions, strict=True)]
    if len(rows) < _MIN_POINTS:
        return []
    scores = {row.score for row in rows}
    scored = None not in scores and len(scores) > 1
    has_costs = all(row.cost is not None for row in rows) and any(row.cost for row in rows)
    points = _points(rows, has_costs, scored)
    if len(points) < _MIN_POINTS:
        return []
    mark = mark_of_all((row.cost_usd.from_bill, row.cost_usd.n) for row in settings)
    x_title = f"US dollars per 1,000 requests{f' ({mark})' if mark else ''}"
    if not has_costs:
        unit, scale = time_unit(max(point.x for point in points))
        x_title = f"mean latency ({unit})"
        points = [msgspec.structs.replace(point, x=scale * point.x) for point in points]
    names = place_names(points)
    fields = ("cost" if has_costs else "latency", "score" if scored else "agreement")
    titles = (x_title, "mean score" if scored else "same text")
    caption = (
        f"{plural(len(points), 'setting')}; stronger colour: the same text more often; ringed: "
        f"beaten by no other in {x_title}{', mean score' if scored else ''} and agreement together"
    )
    if len(names) < len(points):
        caption += f"; {len(points) - len(names)} without room for a name"
    if not has_costs:
        caption += "; no costs to compare, so latency stands for them"
    title = "Cost" if has_costs else "Latency"
    title += ", score and agreement" if scored else " and agreement"
    return [Chart(title, caption, _spec(points, names, fields, titles), wide=True)]


def _figures(row: SettingSummary, distribution: Distribution) -> _Figures:
    return _Figures(
        label=one_line(row.label, 26),
        cost=row.cost_usd.per_1k_requests,
        latency=distribution.means["latency_s"].mean,
        score=row.score.mean,
        agreement=row.agreement.raw.pairwise,
    )


def _points(rows: Sequence[_Figures], has_costs: bool, scored: bool) -> list[Point]:
    """The settings that have both figures, and which of them no other beats."""
    points: list[Point] = []
    for row in rows:
        x = row.cost if has_costs else row.latency
        y = row.score if scored else row.agreement
        if x is not None and y is not None:
            points.append(Point(label=row.label, x=x, y=y, agreement=row.agreement))
    return [
        msgspec.structs.replace(point, unbeaten=not any(_beats(other, point) for other in points))
        for point in points
    ]


def _beats(a: Point, b: Point) -> bool:
    """Whether ``a`` is as good in everything and better in something; agreement if both have it."""
    gains = [b.x - a.x, a.y - b.y]
    if a.agreement is not None and b.agreement is not None:
        gains.append(a.agreement - b.agreement)
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)


def _spec(
    points: Sequence[Point],
    names: Sequence[PointName],
    fields: tuple[str, str],
    titles: tuple[str, str],
) -> Spec:
    (x, y), (x_title, y_title) = fields, titles
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": [_values(point, fields) for point in points]},
        "encoding": {
            "x": chart_parts.quantity(
                x, x_title, scale={"domain": _x_range(points), "padding": _PADDING[0]}
            ),
            "y": chart_parts.quantity(
                y, y_title, axis={"format": chart_parts.PERCENT},
                scale={"domain": _y_range(points), "padding": _PADDING[1]},
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
                "data": {"values": [_values(n.point, fields) for n in names if n.side == side]},
                "mark": {
                    "type": "text", "align": align, "baseline": "middle", "color": palette.INK,
                    "dx": dx, "dy": dy,
                },
                "encoding": {"text": {"field": "label"}},
            }
            for side, (align, dx, dy) in enumerate(_SIDES)
        ],
    }  # fmt: skip


def _values(point: Point, fields: tuple[str, str]) -> Spec:
    x, y = fields
    return {
        "label": point.label, x: point.x, y: point.y, "heat": point.agreement or 0.0,
        "unbeaten": point.unbeaten,
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


def place_names(points: Sequence[Point]) -> list[PointName]:
    """The names that cover neither a point nor another name; unbeaten points are placed first."""
    positions = [_pixel_position(point, points) for point in points]
    taken = [Box(a - _DOT, b - _DOT, a + _DOT, b + _DOT) for a, b in positions]
    placed: list[PointName] = []
    for index in sorted(range(len(points)), key=lambda i: not points[i].unbeaten):
        for side in range(len(_SIDES)):
            name = PointName(points[index], side)
            candidate = name_box(name, points)
            inside = candidate.left >= 0 and candidate.right <= _WIDTH and candidate.top >= 0
            others = (other for i, other in enumerate(taken) if i != index)
            if inside and candidate.bottom <= _HEIGHT and not any(map(candidate.overlaps, others)):
                taken.append(candidate)
                placed.append(name)
                break
    return placed


def name_box(name: PointName, points: Sequence[Point]) -> Box:
    """The rectangle of the name of a point."""
    (across, down), wide = _pixel_position(name.point, points), _LETTER * len(name.point.label)
    align, dx, dy = _SIDES[name.side]
    left = across + dx - {"left": 0.0, "right": wide, "center": wide / 2}[align]
    return Box(left, down + dy - _LINE / 2, left + wide, down + dy + _LINE / 2)


def _pixel_position(point: Point, points: Sequence[Point]) -> tuple[float, float]:
    """The position of a point in the plot, in pixels."""
    (left, right), (low, high) = _x_range(points), _y_range(points)
    across = (point.x - left) / (right - left or 1.0)
    up = (point.y - low) / (high - low or 1.0)
    (pad_x, pad_y) = _PADDING
    return (
        pad_x + across * (_WIDTH - 2 * pad_x),
        pad_y + (1 - up) * (_HEIGHT - 2 * pad_y),
    )


def _x_range(points: Sequence[Point]) -> list[float]:
    return _range([point.x for point in points], None)


def _y_range(points: Sequence[Point]) -> list[float]:
    return _range([point.y for point in points], 1.0)


def _range(values: Sequence[float], upper: float | None) -> list[float]:
    """The range of the points, at least a tenth of the scale, so that noise is not magnified.

    The scale is from 0 to ``upper``, or to the largest value where ``upper`` is None.
    """
    low, high = min(values), max(values)
    minimum = 0.1 * (high if upper is None else upper)
    margin = max(0.0, minimum - (high - low)) / 2
    ceiling = high + margin if upper is None else min(upper, high + margin)
    return [max(0.0, low - margin), max(ceiling, low + minimum) if upper is None else ceiling]
