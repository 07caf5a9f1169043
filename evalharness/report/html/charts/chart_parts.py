"""Parts that the plots share: sizes, axes, and the scales for colour, dash and shape.

Names that come from outside (labels, parameter values) appear only in the data of a
specification, printable and short: never in an expression, a field name or a format.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from evalharness.report.html import palette
from evalharness.report.html.series import Series
from evalharness.report.words.sanitize import one_line

Spec = dict[str, Any]  # a Vega-Lite specification, or a part of one
Row = Spec  # until every chart uses Spec

WIDTH, HEIGHT = 214, 150
PERCENT = ".0%"


class Chart(msgspec.Struct, frozen=True):
    """One plot: a title, a caption, and the specification to draw.

    ``legend`` lists series of this plot alone; those of settings, which have one legend a section,
    are in ``settings``.
    ``wide`` plots take half of a page; those that ``scroll`` keep their size on a narrow screen,
    where their labels would become too small to read. One with a ``row`` begins a line of plots
    with that heading, and with ``row_legend`` where they share their series.
    """

    title: str
    caption: str
    spec: Spec
    legend: tuple[Series, ...] = ()
    settings: tuple[Series, ...] = ()
    wide: bool = False
    scroll: bool = False
    row: str = ""
    row_legend: tuple[Series, ...] = ()


def names_for(labels: Sequence[str], width: int) -> list[str]:
    """Labels short enough for an axis; numbered where two shortened ones would be equal."""
    names = [one_line(label, width) for label in labels]
    if len(set(names)) == len(names):
        return names
    return [one_line(f"{i + 1}. {label}", width) for i, label in enumerate(labels)]


def range_text(counts: Iterable[int]) -> str:
    """``12``, or ``9 to 12`` where they differ."""
    distinct = sorted(set(counts))
    return " to ".join(f"{count:,}" for count in dict.fromkeys((distinct[0], distinct[-1])))


def prompts_caption(counts: Iterable[int]) -> str:
    """``n = 12 prompts``, for a caption."""
    sizes = list(counts)
    return f"n\u00a0=\u00a0{range_text(sizes)} {'prompt' if set(sizes) == {1} else 'prompts'}"


def bar_step(rows: int) -> Spec:
    """The height of a row of a bar plot in pixels, smaller where there are many."""
    return {"step": 24 if rows <= 12 else 16}


def name_axis(names: Sequence[str]) -> Spec:
    """A vertical channel of names, in their order."""
    return {
        "field": "name", "type": "nominal", "sort": list(names), "title": None,
        "axis": {"labelOverlap": False},
    }  # fmt: skip


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten within a range; only the powers beyond three decades."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if high / low <= 1000 else (1,)
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def quantity(field: str, title: str, **more: Any) -> Spec:
    """A quantitative channel: ``axis`` and ``scale`` options may be given."""
    axis = {"tickCount": 5, **more.pop("axis", {})}
    return {"field": field, "type": "quantitative", "title": title, "axis": axis, **more}


def share(field: str, title: str, **more: Any) -> Spec:
    """A channel of shares from 0 to 100 %."""
    axis = {"format": PERCENT, "values": [0, 0.25, 0.5, 0.75, 1]}
    return quantity(field, title, axis=axis, scale={"domain": [0, 1]}, **more)


def colour(series: Sequence[Series]) -> Spec:
    """The colour channel of fields named ``key``."""
    return _scale(series, [s.colour for s in series])


def dash(series: Sequence[Series]) -> Spec:
    """The dash channel of fields named ``key``."""
    return _scale(series, [list(s.dash) for s in series])


def shape(series: Sequence[Series]) -> Spec:
    """The shape channel of fields named ``key``."""
    return _scale(series, [s.shape for s in series])


def _scale(series: Sequence[Series], looks: list[Any]) -> Spec:
    return {
        "field": "key",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": [s.key for s in series], "range": looks},
    }


def lines(values: list[Spec], series: Sequence[Series], x: Spec, y: Spec, **more: Any) -> Spec:
    """A specification of one line a series through points."""
    look = {"color": colour(series), "strokeDash": dash(series)}
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "data": {"values": values},
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": {"type": "line", **more}, "encoding": {**look, "detail": {"field": "key"}}},
        ],
    }


def with_points(spec: Spec, series: Sequence[Series]) -> Spec:
    """Add marks for the points to a specification of lines."""
    points = {
        "mark": {"type": "point", "filled": True, "opacity": 1},
        "encoding": {"color": colour(series), "shape": shape(series)},
    }
    return {**spec, "layer": [*spec["layer"], points]}


def with_intervals(spec: Spec, series: Sequence[Series]) -> Spec:
    """Add vertical intervals from ``low`` to ``high``, behind everything else."""
    rule = {
        "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.55},
        "encoding": {
            "y": {"field": "low", "type": "quantitative"},
            "y2": {"field": "high"},
            "color": colour(series),
        },
    }
    return {**spec, "layer": [rule, *spec["layer"]]}


def heat(field: str, low: float, high: float) -> Spec:
    """A colour channel in seven steps from ``low`` to ``high``."""
    return {
        "field": field,
        "type": "quantitative",
        "legend": None,
        "scale": {"type": "quantize", "domain": [low, high], "range": list(palette.HEAT)},
    }


def heat_step(value: float, low: float, high: float) -> int:
    """The step of :func:`heat` for a value."""
    steps = len(palette.HEAT)
    if high <= low:
        return steps - 1  # like the quantizing scale
    return min(steps - 1, max(0, int(steps * (value - low) / (high - low))))


def clip_interval(ci: Sequence[float] | None) -> tuple[float | None, float | None]:
    """The ends of an interval of a share, cut to 0..1 as in the tables."""
    if ci is None:
        return None, None
    return max(0.0, min(1.0, ci[0])), max(0.0, min(1.0, ci[1]))
