"""Tables on a terminal that are never cut: what is too wide goes on below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from evalharness.report.words.sanitize import one_line

_LABEL = 60  # characters of a name that are shown
_FOLD = 30  # and in a line of its column
_GAP = 2  # between columns


class Column(NamedTuple):
    """A heading, of one line or more, and a cell for each row."""

    heading: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """Characters of its widest line."""
        return max(map(len, [*self.heading.split("\n"), *self.cells]))


def fitting(first: Column, columns: Sequence[Column], width: int) -> list[Table]:
    """The columns as tables that fit into ``width`` characters, each with ``first`` before them.

    No column is cut; the texts of ``first`` are shortened and folded where they are long.
    """
    names = [one_line(cell, _LABEL) for cell in first.cells]
    longest = max(map(len, [*first.heading.split("\n"), *names]))
    widest = max((column.width for column in columns), default=0)
    name = max(1, min(_FOLD, longest, max(12, width - _GAP - widest)))
    groups: list[list[Column]] = [[]]
    used = name
    for column in columns:
        if groups[-1] and used + _GAP + column.width > width:
            groups.append([])
            used = name
        groups[-1].append(column)
        used += _GAP + column.width
    return [_table(Column(first.heading, names), group, name) for group in groups]


def _table(first: Column, columns: Sequence[Column], name: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", expand=False)
    table.add_column(Text(first.heading), overflow="fold", width=name)
    for column in columns:
        table.add_column(Text(column.heading), justify="right", no_wrap=True)
    for label, *cells in zip(first.cells, *(column.cells for column in columns), strict=True):
        table.add_row(Text(label), *(Text(cell) for cell in cells))
    return table
