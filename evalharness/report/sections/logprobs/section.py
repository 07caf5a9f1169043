"""The log probabilities of settings that differ in their provider alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.comparison.matching import find_pairs
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.logprobs.logprob_distance import LogprobDistance, logprob_distance
from evalharness.analysis.logprobs.token_output import has_logprobs
from evalharness.errors import ConfigError
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.logprobs.words import (
    HEADING,
    NOTE,
    console_tables_of_distances,
    distance_lines,
    distance_table,
)
from evalharness.report.words.markdown_text import bullet_list, markdown_table
from evalharness.report.words.plain_table import PlainTable

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_PAIRS = 20
_MAX_PAGE_ROWS = 100


def _build(context: BuildContext) -> list[LogprobDistance]:
    frame = context.run_data.frame
    joined = JoinedRuns.of({"": frame})
    several = len({column.values.get("provider") for column in joined.columns}) > 1
    if not several or not has_logprobs(frame):
        return []
    try:
        pairs = find_pairs(joined.columns, "provider")
    except ConfigError:  # no two settings differ in the provider alone
        return []
    single = [(pair.compared[0], pair.baseline[0]) for pair in pairs if not pair.pooled]
    rows = logprob_distance(joined, single[:MAX_PAIRS])
    return [row for row in rows if row.across is not None]


def _console(report: ReportData, width: int) -> ConsolePart:
    rows = report[LOGPROB_DISTANCE]
    if not rows:
        return ConsolePart([])
    items: list[str | RenderableType] = [
        f"{HEADING} of providers",
        *(f"  {line}" for line in distance_lines(rows)),
        *console_tables_of_distances(rows, width),
    ]
    return ConsolePart(items, [NOTE])


def _markdown(report: ReportData) -> list[str]:
    rows = report[LOGPROB_DISTANCE]
    if not rows:
        return []
    table = distance_table(rows)
    listed = f"**{HEADING} of providers**\n\n{bullet_list(distance_lines(rows))}"
    return [listed, markdown_table(table.headings, table.rows), NOTE]


class _View(NamedTuple):
    lines: list[str]
    table: PlainTable


def _view(context: PageContext) -> _View | None:
    rows = context.report[LOGPROB_DISTANCE]
    return _View(distance_lines(rows), distance_table(rows, _MAX_PAGE_ROWS)) if rows else None


LOGPROB_DISTANCE: Section[list[LogprobDistance]] = Section(
    "logprob_distance",
    list[LogprobDistance],
    _build,
    stage="fork",
    title="how far the log probabilities of providers are apart, the first 20 pairs",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="logprobs",
        link="Log probabilities",
        heading=f"{HEADING} of providers",
        template='{% if view %}<ul class="plain">{% for line in view.lines %}<li><bdi>{{ line }}'
        "</bdi></li>{% endfor %}</ul>{{ m.plain([view.table], run_argument) }}"
        f'<p class="note">{NOTE}</p>{{% endif %}}',
        view=_view,
    ),
)
