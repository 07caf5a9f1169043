"""The table of settings on a terminal, in Markdown, and on the page, where it can be sorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from evalharness.analysis.comparison.leaders import Leaders, is_settled
from evalharness.analysis.summary import SettingSummary
from evalharness.report.sections.settings.all_figures import setting_figures
from evalharness.report.sections.settings.figure import ConsoleColumn, Figure
from evalharness.report.words.markdown_text import escape_text

if TYPE_CHECKING:
    from rich.table import Table

    from evalharness.report.console.table_layout import TextColumn

_MAX_HEADING = 24  # characters in Markdown
_MAX_LABEL = 80  # characters in Markdown


class Cell(msgspec.Struct, frozen=True):
    """A cell: a text with a smaller ``detail``. ``sort`` is what it sorts by; None sorts last."""

    text: str
    detail: str = ""
    sort: float | None = None
    leading: bool = False


class SettingsTable(msgspec.Struct, frozen=True):
    """The table of the page, and with fewer columns of Markdown.

    Attributes:
        groups: headings above the columns, with the number of columns.
        columns: a figure each.
        rows: the settings, with a cell for each column.
        marks: whether any cell is marked as leading.
    """

    groups: list[tuple[str, int]]
    columns: list[Figure]
    rows: list[tuple[SettingSummary, list[Cell]]]
    marks: bool


def settings_table(
    settings: Sequence[SettingSummary], leaders: Mapping[str, Leaders | None]
) -> SettingsTable:
    """Lay out settings as a table; the best are marked where tests support it."""
    columns = [figure for figure in setting_figures(settings) if figure.is_on_page(settings)]
    marked = {figure.leaders: leading_settings(leaders, figure.leaders) for figure in columns}
    rows = [
        (row, [_cell(figure, row, marked[figure.leaders]) for figure in columns])
        for row in settings
    ]
    groups = [(group, len(list(figures))) for group, figures in groupby(columns, lambda f: f.group)]
    marks = any(cell.leading for _, cells in rows for cell in cells)
    return SettingsTable(groups, columns, rows, marks)


def leading_settings(leaders: Mapping[str, Leaders | None], metric: str) -> set[str]:
    """The settings to mark: the leading group of a metric, if it is small enough to be a result."""
    leader = leaders.get(metric)
    return set() if leader is None or not is_settled(leader) else set(leader.group)


def _cell(figure: Figure, row: SettingSummary, marked: set[str]) -> Cell:
    return Cell(
        figure.page_text(row), figure.page_detail(row), figure.value(row), row.setting_id in marked
    )


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────


def markdown_settings(table: SettingsTable) -> str:
    """The figures that have a heading in Markdown."""
    columns = [(i, figure) for i, figure in enumerate(table.columns) if figure.markdown]
    headings = [escape_text(figure.markdown, _MAX_HEADING) for _, figure in columns]
    lines = [
        "| setting | " + " | ".join(headings) + " |",
        "|---|" + "---:|" * len(headings),
    ]
    for row, cells in table.rows:
        shown = " | ".join(_markdown_cell(cells[i]) for i, _ in columns)
        lines.append(f"| {escape_text(row.label, _MAX_LABEL)} | {shown} |")
    if any(cells[i].leading for _, cells in table.rows for i, _ in columns):
        lines += ["", "Bold: the best, and what cannot be told from it."]
    return "\n".join(lines)


def _markdown_cell(cell: Cell) -> str:
    text = f"**{escape_text(cell.text)}**" if cell.leading else escape_text(cell.text)
    return f"{text} {escape_text(cell.detail)}".strip()


# ── console ──────────────────────────────────────────────────────────────────────────────────────


def console_settings(rows: Sequence[SettingSummary], width: int) -> list[Table]:
    """The settings as tables no wider than ``width`` characters."""
    from evalharness.report.console.table_layout import TextColumn, fit_tables

    columns = [_console_column(column, figures, rows) for column, figures in _console_columns(rows)]
    return fit_tables(TextColumn("setting", [row.label for row in rows]), columns, width)


def console_footnotes(rows: Sequence[SettingSummary]) -> list[str]:
    """How to read the columns."""
    return [column.footnote for column, _ in _console_columns(rows) if column.footnote]


def _console_columns(rows: Sequence[SettingSummary]) -> list[tuple[ConsoleColumn, list[Figure]]]:
    columns: list[tuple[ConsoleColumn, list[Figure]]] = []
    for figure in setting_figures(rows):
        if figure.console is None or not figure.is_on_console(rows):
            continue
        if columns and columns[-1][0] is figure.console:
            columns[-1][1].append(figure)
        else:
            columns.append((figure.console, [figure]))
    return columns


def _console_column(
    column: ConsoleColumn, figures: Sequence[Figure], rows: Sequence[SettingSummary]
) -> TextColumn:
    from evalharness.report.console.table_layout import TextColumn

    number_format = figures[0].format
    values = [value for row in rows for f in figures if (value := f.value(row)) is not None]
    unit, factor = number_format.console_unit(values)
    heading = column.heading.replace("{unit}", unit)
    heading = heading.replace("{parts}", _parts([figure.console_part for figure in figures]))
    if len(figures) > 1:
        return TextColumn(heading, [_several(figures, row, factor) for row in rows])
    (figure,) = figures
    return TextColumn(heading, [_single(column, figure, row, factor) for row in rows])


def _parts(names: Sequence[str]) -> str:
    """Names in two lines: a column each would leave no room for the labels of the settings."""
    if len(names) == 1:
        return names[0]
    half = (len(names) + 1) // 2
    return f"{'/'.join(names[:half])}\n/{'/'.join(names[half:])}"


def _several(figures: Sequence[Figure], row: SettingSummary, factor: float) -> str:
    """``12/3``: the heading has the unit."""
    return "/".join(figure.console_text(row, factor).removesuffix("%") for figure in figures)


def _single(column: ConsoleColumn, figure: Figure, row: SettingSummary, factor: float) -> str:
    text = figure.console_text(row, factor)
    if not column.has_interval or figure.value(row) is None:
        return text
    return text + figure.format.console_interval(figure.interval(row))
