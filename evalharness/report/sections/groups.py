"""Scores, agreement and cost by a field of the prompts, where ``--group-by`` asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalharness.analysis.cost.cell_costs import CellCosts
from evalharness.report.build.context import BuildContext
from evalharness.report.build.field_groups import FieldGroups, group_by_field
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.run import RUN
from evalharness.report.sections.settings.number_format import share_with_interval
from evalharness.report.words.cost_origin import cost_mark, with_mark
from evalharness.report.words.format_numbers import DASH, dollars, percent
from evalharness.report.words.markdown_text import markdown_table
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

# Rows of the table; the JSON has all.
_MAX_CONSOLE_ROWS = 30
_MAX_PAGE_ROWS = 100
_MAX_VALUE = 40  # characters of a value
_NOTE = "Groups hold different prompts: observed, not tried."


def _build(context: BuildContext) -> FieldGroups | None:
    field, values = context.source.overrides.group_by, context.source.group_values
    if field is None or values is None:
        return None
    run_data = context.run_data
    costs = CellCosts.of(run_data.frame, run_data.costs, run_data.book)
    return group_by_field(run_data.frame, costs, field, values)


def group_table(groups: FieldGroups, max_rows: int) -> PlainTable:
    """A row for each value and setting; columns that say nothing are left out."""
    several = len({row.setting_id for group in groups.groups for row in group.settings}) > 1
    rows: list[list[str]] = []
    for group in groups.groups:
        value = _name(group.value, groups.field)
        for row in group.settings:
            mark = cost_mark(row.cost.from_bill, row.cost.known)
            rows.append([
                f"{value}: {row.label}" if several else value,
                f"{group.prompts:,}",
                f"{row.cost.trials:,}",
                f"{row.errors:,}" if row.errors else DASH,
                share_with_interval(row.score, row.score_ci95),
                percent(row.agreement),
                with_mark(dollars(row.cost.total_usd), mark),
                with_mark(dollars(row.cost.per_1k_requests), mark),
                dollars(row.cost.per_correct_usd),
            ])  # fmt: skip
    headings = [
        f"by {one_line(groups.field, _MAX_VALUE)}", "prompts", "trials", "errors",
        "score\n[95% CI]", "same\ntext", "cost", "1,000\nrequests", "a correct\nanswer",
    ]  # fmt: skip
    shown_columns = [
        i for i in range(len(headings)) if i < 3 or any(row[i] != DASH for row in rows)
    ]
    return PlainTable(
        headings[0],
        [headings[i] for i in shown_columns],
        [[row[i] for i in shown_columns] for row in rows[:max_rows]],
        max(0, len(rows) - max_rows),
    )


def _name(value: str | None, field: str) -> str:
    if value is None:
        return f"(no {one_line(field, _MAX_VALUE)})"
    return one_line(value, _MAX_VALUE) or "(empty)"


def _console(report: ReportData, width: int) -> ConsolePart:
    from evalharness.report.console.table_layout import fit_plain_table

    groups = report[GROUPS]
    if groups is None:
        return ConsolePart([])
    table = group_table(groups, _MAX_CONSOLE_ROWS)
    items: list[str | RenderableType] = [*fit_plain_table(table, width)]
    if table.more:
        items.append(f"  and {table.more} more: evalharness report {report[RUN].name} --json")
    return ConsolePart(items, [f"by {one_line(groups.field, _MAX_VALUE)}: {_NOTE}"])


def _markdown(report: ReportData) -> list[str]:
    groups = report[GROUPS]
    if groups is None:
        return []
    table = group_table(groups, _MAX_CONSOLE_ROWS)
    more = [f"and {table.more} more in the HTML report"] if table.more else []
    return [markdown_table(table.headings, table.rows), *more, _NOTE]


def _view(context: PageContext) -> PlainTable | None:
    groups = context.report[GROUPS]
    return None if groups is None else group_table(groups, _MAX_PAGE_ROWS)


GROUPS: Section[FieldGroups | None] = Section(
    "groups",
    FieldGroups | None,
    _build,
    stage="fork",
    title="scores, agreement and cost by the field that `--group-by` names; null without it",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="groups",
        link="Groups",
        heading="By a field of the prompts",
        template=f'<p class="note">{_NOTE}</p>{{{{ m.plain([view], run_argument) }}}}',
        view=_view,
    ),
)
