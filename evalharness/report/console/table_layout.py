"""Tables that fit a terminal: columns without room go into a further table below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

_MAX_LABEL = 60  # characters of a name
_MAX_NAME_WIDTH = 30  # characters of a name in one line
_GAP = 2  # between columns


class TextColumn(NamedTuple):
    """A heading of one or more lines, and a cell for each row; words begin at the left."""

    heading: str
    cells: Sequence[str]
    has_words: bool = False

    @property
    def width(self) -> int:
        """The number of characters of the widest line."""
        return max(map(len, [*self.heading.split("\n"), *self.cells]))


def fit_plain_table(table: PlainTable, width: int) -> list[Table]:
    """As :func:`fit_tables`, of a table whose first column names the rows."""
    names, *columns = (
        TextColumn(heading, [row[index] for row in table.rows], heading in table.text_headings)
        for index, heading in enumerate(table.headings)
    )
    return fit_tables(names, columns, width)


def fit_tables(names: TextColumn, columns: Sequence[TextColumn], width: int) -> list[Table]:
    """Lay columns out as tables of at most ``width`` characters, each beginning with ``names``.

    No column is cut; long texts of ``names`` are shortened and folded.
    """
    labels = [one_line(cell, _MAX_LABEL) for cell in names.cells]
    longest = max(map(len, [*names.heading.split("\n"), *labels]))
    widest = max((column.width for column in columns), default=0)
    name_width = max(1, min(_MAX_NAME_WIDTH, longest, max(12, width - _GAP - widest)))
    groups: list[list[TextColumn]] = [[]]
    used = name_width
    for column in columns:
        if groups[-1] and used + _GAP + column.width > width:
            groups.append([])
            used = name_width
        groups[-1].append(column)
        used += _GAP + column.width
    return [_table(TextColumn(names.heading, labels), group, name_width) for group in groups]


def _table(names: TextColumn, columns: Sequence[TextColumn], name_width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", expand=False)
    table.add_column(Text(names.heading), overflow="fold", width=name_width)
    for column in columns:
        justify = "left" if column.has_words else "right"
        table.add_column(Text(column.heading), justify=justify, no_wrap=True)
    for label, *cells in zip(names.cells, *(column.cells for column in columns), strict=True):
        table.add_row(Text(label), *(Text(cell) for cell in cells))
    return table
