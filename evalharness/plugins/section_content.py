"""What a report section of another package returns."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Cell: TypeAlias = str | bool | int | float | None


class SectionContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a section shows: lines of text, then a table. All forms of the report are made of it.

    Attributes:
        heading: of the section; None takes the name of the plugin.
        lines: sentences, each on a line of its own.
        columns: headings of the table; the first names the rows.
        rows: cells, as many in each row as there are columns; None is unknown, never 0.
    """

    heading: str | None = None
    lines: list[str] = []
    columns: list[str] = []
    rows: list[list[Cell]] = []
