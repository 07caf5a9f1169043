"""How each setting is drawn: the same colour, dash and shape in every plot of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from evalharness.analysis.summary import SettingSummary
from evalharness.config.parameter_values import same_value
from evalharness.report.html import palette
from evalharness.report.words.sanitize import one_line

#: Lines in one plot; captions say when further settings were left out.
MAX_SERIES = 12


class Series(msgspec.Struct, frozen=True):
    """One line of a plot. ``key`` is its name in the data of a specification."""

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
        """Whether at least three values are numbers."""
        return len(self.numbers) >= 3


def axes_of(rows: Sequence[SettingSummary]) -> list[Axis]:
    """The swept axes that vary, most values first.

    Where none was swept (an import), the parameters that differ are used instead.
    """
    for sources in ([row.axes for row in rows], [row.params for row in rows]):
        names = list(dict.fromkeys(name for source in sources for name in source))
        axes = [
            Axis(name, _distinct_values([source.get(name) for source in sources])) for name in names
        ]
        varying = [axis for axis in axes if len(axis.values) > 1]
        if varying:
            return sorted(varying, key=lambda axis: -len(axis.values))
    return []


def axis_value(row: SettingSummary, axis: Axis) -> Any:
    """A setting's value on an axis; null is "not sent"."""
    return row.axes.get(axis.name, row.params.get(axis.name))


def series_of(rows: Sequence[SettingSummary], first: Sequence[str] = ()) -> dict[str, Series]:
    """Assign a look to at most :data:`MAX_SERIES` settings, by setting id.

    With two axes the colour follows one and the dash the other; otherwise the colours rotate.
    Settings named in ``first`` are never left out.
    """
    axes = axes_of(rows)
    by_axis = len(axes) == 2 and len(axes[0].values) <= 7 and len(axes[1].values) <= 4
    shown: dict[str, Series] = {}
    for index, row in enumerate(_drawn_rows(rows, first)):
        colour, style = index % len(palette.SERIES), index // len(palette.SERIES)
        if len(rows) <= len(palette.SERIES):
            style = index  # no two share a colour, and neighbours differ in dash and shape as well
        if by_axis:
            colour = _index_of(axes[0].values, axis_value(row, axes[0]))
            style = _index_of(axes[1].values, axis_value(row, axes[1]))
        shown[row.setting_id] = series_look(str(index), row.label, colour, style)
    return shown


def series_look(key: str, label: str, colour: int, style: int) -> Series:
    """The look of a series by the numbers of its colour and of its dash and shape."""
    return Series(
        key=key,
        label=one_line(label, 60),
        colour=palette.SERIES[colour % len(palette.SERIES)],
        dash=palette.DASHES[style % len(palette.DASHES)],
        shape=palette.SHAPES[style % len(palette.SHAPES)],
    )


def _drawn_rows(rows: Sequence[SettingSummary], first: Sequence[str]) -> list[SettingSummary]:
    """The settings to draw, in their order: the named ones and an even selection of the rest."""
    if len(rows) <= MAX_SERIES:
        return list(rows)
    named = [row.setting_id for row in rows if row.setting_id in first][:MAX_SERIES]
    rest = [row.setting_id for row in rows if row.setting_id not in named]
    free = MAX_SERIES - len(named)
    selected = {rest[round(i * (len(rest) - 1) / max(free - 1, 1))] for i in range(free)}
    return [row for row in rows if row.setting_id in {*named, *selected}]


def _index_of(values: list[Any], value: Any) -> int:
    return next((i for i, known in enumerate(values) if same_value(known, value)), 0)


def _distinct_values(values: Sequence[Any]) -> list[Any]:
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
