"""What ``compare`` prints about several runs: what they share, what differs, changed prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalharness.analysis.comparison.prompt_changes import PromptChange
from evalharness.report.build.compared_runs import ComparedRuns
from evalharness.report.sections.comparisons.run_text import (
    CHANGE_HEADINGS,
    change_cells,
    change_lines,
    differences_table,
    kinds_text,
    match_lines,
    new_and_gone_lines,
    no_difference_line,
    output_text,
    own_figures_table,
)
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

if TYPE_CHECKING:
    from rich.console import Console

MAX_CHANGES = 20  # rows of the table
_MAX_SHOWN_TEXTS = 6  # changes with texts
_MAX_TEXT = 300


def print_run_facts(runs: ComparedRuns) -> None:
    """Print what keeps runs from being compared, and how their prompts were matched."""
    from evalharness.report.console.printing import console_for_report, print_line

    console = console_for_report()
    for line in runs.obstacles:
        print_line(console, line, style="bold")
    for line in match_lines(runs):
        print_line(console, line)
    _print_plain(own_figures_table(runs), console)
    console.print()


def print_run_differences(runs: ComparedRuns) -> None:
    """Print what differs between the configurations of the runs, in one block."""
    from evalharness.report.console.printing import console_for_report, print_line

    console = console_for_report()
    table = differences_table(runs)
    if table is None:
        console.print()
        print_line(console, no_difference_line(runs))
    _print_plain(table, console)


def print_changes(changes: Sequence[PromptChange], runs: ComparedRuns) -> None:
    """Print the prompts that changed: sentences, a table, and outputs before and after."""
    from evalharness.report.console.printing import console_for_report, print_line
    from evalharness.report.console.table_layout import fit_plain_table

    console = console_for_report()
    console.print()
    print_line(console, "Which prompts changed?")
    for line in [*change_lines(changes, runs), *new_and_gone_lines(runs)]:
        print_line(console, f"  {line}")
    shown = changes[:MAX_CHANGES]
    if not shown:
        return
    names = _names(shown)
    rows = [[n, kinds_text(c), *change_cells(c)] for n, c in zip(names, shown, strict=True)]
    table = PlainTable("", ["prompt", "change", *CHANGE_HEADINGS], rows)
    for part in fit_plain_table(table, console.width):
        console.print()
        console.print(part)
    if len(changes) > len(shown):
        print_line(console, f"{len(changes) - len(shown):,} more: --json has all")
    for name, change in zip(names, shown[:_MAX_SHOWN_TEXTS], strict=False):
        console.print()
        print_line(console, f"{name}: {kinds_text(change)}", style="bold")
        for word, side in (("before", change.before), ("after", change.after)):
            text = one_line(output_text(side), _MAX_TEXT) or "(empty)"
            print_line(console, f"  {word} ({side.run}): {text}")
    console.print()
    print_line(
        console,
        "before and after: the commonest output; p: that a prompt's own repeats differ so, adjusted"
        " for all prompts",
        style="dim",
    )


def _names(changes: Sequence[PromptChange]) -> list[str]:
    several = len({change.after.setting_id for change in changes}) > 1
    runs = len({change.after.run for change in changes}) > 1
    return [
        ", ".join(
            [c.prompt_id, *([c.after.run] if runs else []), *([c.after.label] if several else [])]
        )
        for c in changes
    ]


def _print_plain(table: PlainTable | None, console: Console) -> None:
    if table is None:
        return
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in table.headings:
        shown.add_column(Text(one_line(heading, 40)), overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(one_line(cell, 200)) for cell in row))
    console.print()
    console.print(Text(table.title))
    console.print(shown)
