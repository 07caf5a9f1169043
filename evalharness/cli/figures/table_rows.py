"""What the tables of figures share: a table, and a figure with the ends of its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class RunTable(NamedTuple):
    """A table of figures.

    Attributes:
        columns: the names of all columns.
        short: those that a table to be read has; intervals stand within their figure there.
        rows: a dict a row; a column that it lacks is null.
    """

    columns: list[str]
    short: list[str]
    rows: list[dict[str, Any]]


def with_ends(
    name: str, value: float | None, ends: Sequence[float | None] | None
) -> dict[str, float | None]:
    """A figure and the ends of its 95 % interval, null where they are unknown."""
    low, high = (None, None) if ends is None else (ends[0], ends[1])
    return {name: value, f"{name}_lo": low, f"{name}_hi": high}


def with_ends_names(*names: str) -> tuple[str, ...]:
    """The columns of some figures and their ends."""
    return tuple(f"{name}{end}" for name in names for end in ("", "_lo", "_hi"))
