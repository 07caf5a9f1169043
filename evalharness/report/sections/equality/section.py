"""The model equality test of settings that differ in their provider alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.comparison.matching import find_pairs
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.equality.model_equality import ModelEquality, model_equality
from evalharness.errors import ConfigError
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.equality.words import (
    HEADING,
    NOTE,
    console_tables_of_equality,
    equality_lines,
    equality_table,
)
from evalharness.report.words.markdown_text import bullet_list, markdown_table
from evalharness.report.words.plain_table import PlainTable

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_PAIRS = 20
_MAX_PAGE_ROWS = 100


def _build(context: BuildContext) -> list[ModelEquality]:
    joined = JoinedRuns.of({"": context.run_data.frame})
    if len({column.values.get("provider") for column in joined.columns}) < 2:
        return []
    try:
        pairs = find_pairs(joined.columns, "provider")
    except ConfigError:  # no two settings differ in the provider alone
        return []
    single = [(pair.compared[0], pair.baseline[0]) for pair in pairs if not pair.pooled]
    return model_equality(joined, single[:MAX_PAIRS])


def _console(report: ReportData, width: int) -> ConsolePart:
    rows = report[EQUALITY]
    if not rows:
        return ConsolePart([])
    items: list[str | RenderableType] = [
        f"{HEADING} of providers",
        *(f"  {line}" for line in equality_lines(rows)),
        *console_tables_of_equality(rows, width),
    ]
    return ConsolePart(items, [NOTE])


def _markdown(report: ReportData) -> list[str]:
    rows = report[EQUALITY]
    if not rows:
        return []
    table = equality_table(rows)
    listed = f"**{HEADING} of providers**\n\n{bullet_list(equality_lines(rows))}"
    return [listed, *([markdown_table(table.headings, table.rows)] if table.rows else []), NOTE]


class _View(NamedTuple):
    lines: list[str]
    table: PlainTable


def _view(context: PageContext) -> _View | None:
    rows = context.report[EQUALITY]
    return _View(equality_lines(rows), equality_table(rows, _MAX_PAGE_ROWS)) if rows else None


EQUALITY: Section[list[ModelEquality]] = Section(
    "model_equality",
    list[ModelEquality],
    _build,
    stage="fork",
    title="whether providers give outputs of one distribution, the first 20 pairs",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="equality",
        link="Equality",
        heading=f"{HEADING} of providers",
        template='{% if view %}<ul class="plain">{% for line in view.lines %}<li><bdi>{{ line }}'
        "</bdi></li>{% endfor %}</ul>{% if view.table.rows %}"
        "{{ m.plain([view.table], run_argument) }}{% endif %}"
        f'<p class="note">{NOTE}</p>{{% endif %}}',
        view=_view,
    ),
)
