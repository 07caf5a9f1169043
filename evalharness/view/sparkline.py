"""Small drawings of a few numbers, without a style attribute: the content policy allows none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

_HEIGHT = 16
_BAR = 4
_GAP = 1
_MAX_BARS = 40
_MAX_POINTS = 200


def bars(values: Sequence[float | None], label: str, top: float | None = None) -> Markup | None:
    """A bar a value, an empty place where one is unknown; None below two values.

    Args:
        values: at least 0.
        label: what a screen reader says.
        top: the value that is as high as the drawing; None is the highest one.
    """
    shown = values[:_MAX_BARS]
    known = [value for value in shown if value is not None]
    if len(shown) < 2 or not known:
        return None
    scale = (_HEIGHT - 1) / (top or max(known) or 1)
    drawn = [
        f'<rect x="{i * (_BAR + _GAP)}" y="{_HEIGHT - height:.1f}" width="{_BAR}" '
        f'height="{height:.1f}"/>'
        for i, value in enumerate(shown)
        if value is not None
        for height in [1 + max(0.0, min(value * scale, _HEIGHT - 1))]
    ]
    return _svg(len(shown) * (_BAR + _GAP), _HEIGHT, "".join(drawn), label)


def line(values: Sequence[float], label: str, width: int = 240, height: int = 36) -> Markup | None:
    """The values as a line, the last one as a dot; None below two of them."""
    shown = values[-_MAX_POINTS:]
    if len(shown) < 2:
        return None
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    step = (width - 8) / (len(shown) - 1)
    points = [
        (4 + i * step, height - 4 - (height - 8) * ((value - low) / span if high > low else 0.5))
        for i, value in enumerate(shown)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    drawn = f'<polyline points="{path}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    return _svg(width, height, drawn, label)


def _svg(width: int, height: int, drawn: str, label: str) -> Markup:
    from markupsafe import Markup, escape

    return Markup(  # noqa: S704 — numbers, and a text that is escaped
        f'<svg class="spark" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(label)}">{drawn}</svg>'
    )
