"""How each setting is drawn: the same colour, dash and shape in every plot of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from evalharness.records import canonical_json
from evalharness.report.html import palette
from evalharness.report.words.sanitize import one_line

Row = dict[str, Any]

#: More lines than this are a tangle; captions say when settings were left out of a drawing.
MOST = 12


class Series(msgspec.Struct, frozen=True):
    """One line of a plot. ``key`` is what the data of a specification name it by."""

    key: str
    label: str
    colour: str
    dash: tuple[int, ...]
    shape: str


class Axis(msgspec.Struct, frozen=True):
    """One swept key with its values in order: numbers ascending, then texts, null first."""

    name: str
    values: list[Any]

    @property
    def numbers(self) -> list[float]:
        """The values that are numbers (true and false are not)."""
        return [v for v in self.values if isinstance(v, int | float) and not isinstance(v, bool)]

    @property
    def is_numeric(self) -> bool:
        """Whether at least three values can stand on a scale."""
        return len(self.numbers) >= 3


def axes_of(rows: Sequence[Row]) -> list[Axis]:
    """The swept axes that vary, most values first.

    Where none was swept (an import), the parameters that differ stand for them.
    """
    for source in ("axes", "params"):
        names = list(dict.fromkeys(name for row in rows for name in row[source]))
        axes = [Axis(name, _ordered([row[source].get(name) for row in rows])) for name in names]
        varying = [axis for axis in axes if len(axis.values) > 1]
        if varying:
            return sorted(varying, key=lambda axis: -len(axis.values))
    return []


def value_on(row: Row, axis: Axis) -> Any:
    """A setting's value on an axis; null is "not sent"."""
    return row["axes"].get(axis.name, row["params"].get(axis.name))


def same_value(a: Any, b: Any) -> bool:
    """Whether two values of an axis are one: 0 and 0.0 are, true and 1 are not."""
    return canonical_json(a) == canonical_json(b) or (
        not isinstance(a, bool) and not isinstance(b, bool) and a == b
    )


def series_of(rows: Sequence[Row], first: Sequence[str] = ()) -> dict[str, Series]:
    """Assign a look to at most :data:`MOST` settings, by setting id.

    With two axes the colour follows one and the dash the other; else colours go round. Settings
    named in ``first`` are never left out.
    """
    axes = axes_of(rows)
    by_axis = len(axes) == 2 and len(axes[0].values) <= 7 and len(axes[1].values) <= 4
    shown: dict[str, Series] = {}
    for index, row in enumerate(_chosen(rows, first)):
        colour, style = index % len(palette.SERIES), index // len(palette.SERIES)
        if len(rows) <= len(palette.SERIES):
            style = index  # no two share a colour, and neighbours differ in dash and shape as well
        if by_axis:
            colour = _place(axes[0].values, value_on(row, axes[0]))
            style = _place(axes[1].values, value_on(row, axes[1]))
        shown[row["setting_id"]] = look(str(index), row["label"], colour, style)
    return shown


def look(key: str, label: str, colour: int, style: int) -> Series:
    """The look of a series by the numbers of its colour and of its dash and shape."""
    return Series(
        key=key,
        label=one_line(label, 60),
        colour=palette.SERIES[colour % len(palette.SERIES)],
        dash=palette.DASHES[style % len(palette.DASHES)],
        shape=palette.SHAPES[style % len(palette.SHAPES)],
    )


def _chosen(rows: Sequence[Row], first: Sequence[str]) -> list[Row]:
    """The settings to draw, in their own order: the named ones, then an even spread of the rest."""
    if len(rows) <= MOST:
        return list(rows)
    named = [row["setting_id"] for row in rows if row["setting_id"] in first][:MOST]
    rest = [row["setting_id"] for row in rows if row["setting_id"] not in named]
    room = MOST - len(named)
    spread = {rest[round(i * (len(rest) - 1) / max(room - 1, 1))] for i in range(room)}
    return [row for row in rows if row["setting_id"] in {*named, *spread}]


def _place(values: list[Any], value: Any) -> int:
    return next((i for i, known in enumerate(values) if same_value(known, value)), 0)


def _ordered(values: Sequence[Any]) -> list[Any]:
    distinct: list[Any] = []
    for value in values:
        if not any(same_value(value, known) for known in distinct):
            distinct.append(value)
    return sorted(distinct, key=_rank)


def _rank(value: Any) -> tuple[int, float, str]:
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 1, float(value), ""
    return 2, 0.0, str(value)
