"""The tool calls of settings that differ in their provider alone, against the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.comparison.matching import find_pairs
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.tool_calls.call_output import CALL_REASONS
from evalharness.analysis.tool_calls.tool_call_check import ToolCallCheck, tool_call_check
from evalharness.errors import ConfigError
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.tool_calls.words import (
    HEADING,
    NOTE,
    check_lines,
    check_table,
    console_tables_of_checks,
)
from evalharness.report.words.markdown_text import bullet_list, markdown_table
from evalharness.report.words.plain_table import PlainTable

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_PAIRS = 20
_MAX_PAGE_ROWS = 100


def _build(context: BuildContext) -> list[ToolCallCheck]:
    frame = context.run_data.frame
    joined = JoinedRuns.of({"": frame})
    several = len({column.values.get("provider") for column in joined.columns}) > 1
    if not several or CALL_REASONS.isdisjoint(frame.codes("finish_reason")[1]):
        return []
    try:
        pairs = find_pairs(joined.columns, "provider")
    except ConfigError:  # no two settings differ in the provider alone
        return []
    single = [(pair.compared[0], pair.baseline[0]) for pair in pairs if not pair.pooled]
    rows = tool_call_check(joined, single[:MAX_PAIRS])
    return [row for row in rows if row.prompts]


def _console(report: ReportData, width: int) -> ConsolePart:
    rows = report[TOOL_CALLS]
    if not rows:
        return ConsolePart([])
    items: list[str | RenderableType] = [
        f"{HEADING} of providers",
        *(f"  {line}" for line in check_lines(rows)),
        *console_tables_of_checks(rows, width),
    ]
    return ConsolePart(items, [NOTE])


def _markdown(report: ReportData) -> list[str]:
    rows = report[TOOL_CALLS]
    if not rows:
        return []
    table = check_table(rows)
    listed = f"**{HEADING} of providers**\n\n{bullet_list(check_lines(rows))}"
    return [listed, *([markdown_table(table.headings, table.rows)] if table.rows else []), NOTE]


class _View(NamedTuple):
    lines: list[str]
    table: PlainTable


def _view(context: PageContext) -> _View | None:
    rows = context.report[TOOL_CALLS]
    return _View(check_lines(rows), check_table(rows, _MAX_PAGE_ROWS)) if rows else None


TOOL_CALLS: Section[list[ToolCallCheck]] = Section(
    "tool_call_check",
    list[ToolCallCheck],
    _build,
    stage="fork",
    title="tool calls of providers against those of the first, the first 20 pairs",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="tool-calls",
        link="Tool calls",
        heading=f"{HEADING} of providers",
        template='{% if view %}<ul class="plain">{% for line in view.lines %}<li><bdi>{{ line }}'
        "</bdi></li>{% endfor %}</ul>{% if view.table.rows %}"
        "{{ m.plain([view.table], run_argument) }}{% endif %}"
        f'<p class="note">{NOTE}</p>{{% endif %}}',
        view=_view,
    ),
)
