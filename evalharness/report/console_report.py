"""The report on a terminal, readable in 100 columns: every section in the registry's order."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType

from evalharness.report.console.printing import console_for_report, print_line
from evalharness.report.registry import SECTIONS
from evalharness.report.section import ReportData


def print_report(report: ReportData, console: Console | None = None) -> None:
    """Print the sections that have something to show, then how to read their columns."""
    console = console or console_for_report()
    footnotes: list[str] = []
    is_first = True
    for section in SECTIONS:
        if section.console is None:
            continue
        part = section.console(report, console.width)
        items = _without_outer_blanks(part.items)
        if items and not is_first:
            console.print()
        for item in items:
            if isinstance(item, str):
                print_line(console, item)
            else:
                console.print(item)
        is_first = is_first and not items
        footnotes += part.footnotes
    for line in ["", *footnotes] if footnotes else []:
        print_line(console, line, style="dim")


def _without_outer_blanks(items: Sequence[str | RenderableType]) -> list[str | RenderableType]:
    """The items between the first and the last that is no empty line."""
    shown = [index for index, item in enumerate(items) if item != ""]
    return list(items[shown[0] : shown[-1] + 1]) if shown else []
