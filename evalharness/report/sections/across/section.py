"""The agreement across every two settings of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.across.agreement_across import (
    AgreementAcross,
    agreement_across,
    all_pairs,
)
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.report.build.context import BuildContext
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.comparisons.across_tables import (
    NOTE,
    across_chart,
    across_table,
    console_tables,
)
from evalharness.report.sections.comparisons.across_words import HEADING, across_lines
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.markdown_text import bullet_list, markdown_table
from evalharness.report.words.plain_table import PlainTable

if TYPE_CHECKING:
    from rich.console import RenderableType

_MAX_PAGE_ROWS = 100


def _build(context: BuildContext) -> list[AgreementAcross]:
    joined = JoinedRuns.of({"": context.run_data.frame})
    return agreement_across(joined, all_pairs(joined))


def _lines(report: ReportData) -> list[str]:
    return across_lines(report[ACROSS], len(report[SETTINGS]))


def _console(report: ReportData, width: int) -> ConsolePart:
    rows = report[ACROSS]
    lines = _lines(report)
    if not lines:
        return ConsolePart([])
    tables, more = console_tables(rows, width)
    items: list[str | RenderableType] = [HEADING, *(f"  {line}" for line in lines), *tables]
    if more:
        items.append(f"  and {more} more: evalharness report {report.run_argument} --json")
    return ConsolePart(items, [NOTE])


def _markdown(report: ReportData) -> list[str]:
    rows = report[ACROSS]
    lines = _lines(report)
    if not lines:
        return []
    table = across_table(rows)
    more = [f"and {table.more} more in the HTML report"] if table.more else []
    listed = f"**{HEADING}**\n\n{bullet_list(lines)}"
    return [listed, markdown_table(table.headings, table.rows), *more]


class _View(NamedTuple):
    lines: list[str]
    table: PlainTable


def _view(context: PageContext) -> _View | None:
    rows = context.report[ACROSS]
    lines = _lines(context.report)
    return _View(lines, across_table(rows, _MAX_PAGE_ROWS)) if lines else None


def _charts(context: PageContext) -> list[Chart]:
    chart = across_chart(context.report[ACROSS], context.report[SETTINGS])
    return [] if chart is None else [chart]


ACROSS: Section[list[AgreementAcross]] = Section(
    "agreement_across",
    list[AgreementAcross],
    _build,
    stage="fork",
    title="how often two settings give the same output, every two of the first 24 settings",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="across",
        link="Across",
        heading=HEADING,
        template='{% if view %}<ul class="plain">{% for line in view.lines %}<li><bdi>{{ line }}'
        "</bdi></li>{% endfor %}</ul>{% endif %}{{ m.figures(charts) }}"
        f'{{% if view %}}{{{{ m.plain([view.table], run_argument) }}}}<p class="note">{NOTE}</p>'
        "{% endif %}",
        view=_view,
        charts=_charts,
    ),
)
