"""The report on a terminal, readable in 100 columns: every section in the registry's order."""

from __future__ import annotations

from rich.console import Console

from evalharness.report.console.printing import console_for_report, print_line
from evalharness.report.registry import SECTIONS
from evalharness.report.section import ReportData


def print_report(report: ReportData, console: Console | None = None) -> None:
    """Print the sections that have something to show, then how to read their columns."""
    console = console or console_for_report()
    footnotes: list[str] = []
    is_empty = True
    for section in SECTIONS:
        if section.console is None:
            continue
        part = section.console(report, console.width)
        for index, item in enumerate(part.items):
            if not is_empty and (index == 0 or not isinstance(item, str)):
                console.print()
            if isinstance(item, str):
                print_line(console, item)
            else:
                console.print(item)
            is_empty = False
        footnotes += part.footnotes
    for line in ["", *footnotes] if footnotes else []:
        print_line(console, line, style="dim")
