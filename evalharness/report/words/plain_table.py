"""A table of texts, ready to print."""

from __future__ import annotations

import msgspec


class PlainTable(msgspec.Struct, frozen=True):
    """A table ready to print.

    Attributes:
        title: what it is about.
        headings: of the columns.
        rows: texts; the first cell of a row names it.
        more: rows left out.
        text_headings: of the columns, beside the first, that hold words and not numbers.
    """

    title: str
    headings: list[str]
    rows: list[list[str]]
    more: int = 0
    text_headings: tuple[str, ...] = ()
