"""The settings that gates are for, by the names that were typed."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.summary import SettingSummary
from evalharness.errors import ConfigError


def select_settings(rows: list[SettingSummary], names: Sequence[str]) -> list[SettingSummary]:
    """The settings named by id, label or part of it; all where none is named.

    ``system=terse`` names every setting whose label says so.

    Raises:
        ConfigError: no setting is called so.
    """
    for name in names:
        if not any(_is_called(row, name) for row in rows):
            raise ConfigError(
                f"--setting {name}: no setting is called so",
                hint="one of: " + " · ".join(row.label for row in rows[:20]),
            )
    if not names:
        return rows
    return [row for row in rows if any(_is_called(row, name) for name in names)]


def _is_called(row: SettingSummary, name: str) -> bool:
    if name == row.setting_id or f", {name}, " in f", {row.label}, ":
        return True
    axis, separator, value = name.partition("=")
    return bool(separator) and axis in row.axes and _axis_text(row.axes[axis]) == value


def _axis_text(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
