"""The load points of a benchmark, for every output form."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.report.build.load_data import LoadData
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.load.charts import load_charts
from evalharness.report.sections.load.quality import point_quality, quality_chart
from evalharness.report.sections.load.tables import FOOTNOTE, LoadTable, load_lines, load_tables
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.markdown_text import bullet_list, escape_text, markdown_table
from evalharness.report.words.sanitize import printable

if TYPE_CHECKING:
    from rich.table import Table

_MAX_MARKDOWN_ROWS = 40  # of each table


def _console(report: ReportData, _: int) -> ConsolePart:
    data = report[LOAD]
    if data is None:
        return ConsolePart([])
    tables = map(_console_table, load_tables(data, report[SETTINGS]))
    return ConsolePart([*tables, *load_lines(data)], [FOOTNOTE])


def _console_table(load_table: LoadTable) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for index, heading in enumerate(load_table.headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=bool(index))
    for row in load_table.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _markdown(report: ReportData) -> list[str]:
    """Load points as two tables, of rates and of times; none in batch evaluation."""
    data = report[LOAD]
    if data is None:
        return []
    tables, lines = load_tables(data, report[SETTINGS]), load_lines(data)
    shown = [markdown_table(table.headings, table.rows[:_MAX_MARKDOWN_ROWS]) for table in tables]
    more = any(len(table.rows) > _MAX_MARKDOWN_ROWS for table in tables)
    return [
        "**Load**",
        *shown,
        *(["more in the HTML report"] if more else []),
        *([bullet_list(lines)] if lines else []),
        escape_text(FOOTNOTE),
    ]


class LoadView(NamedTuple):
    """What the page shows beside the plots."""

    tables: list[LoadTable]
    lines: list[str]
    note: str


def _page_view(context: PageContext) -> LoadView | None:
    data = context.report[LOAD]
    if data is None:
        return None
    tables = load_tables(data, context.report[SETTINGS])
    return LoadView(tables, load_lines(data), FOOTNOTE)


def _charts(context: PageContext) -> list[Chart]:
    data = context.report[LOAD]
    if data is None:
        return []
    quality = quality_chart(point_quality(data, context.report[SETTINGS]))
    return [*load_charts(data, context.series), *([] if quality is None else [quality])]


_TEMPLATE = """\
<p class="lead">One load point after the other, errors in no latency, warm-up in no figure. <em>From scheduled</em> is what a user waits, our own queue included; <em>from sent</em> is what the server took.</p>
{% for table in view.tables %}<div class="scroll" tabindex="0"><table class="text">
<thead><tr>{% for heading in table.headings %}<th{% if not loop.first %} class="number"{% endif %}>{{ heading }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}<tr>{% for cell in row %}<td{% if not loop.first %} class="number"{% endif %}><bdi>{{ cell }}</bdi></td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endfor %}
{% if view.lines %}<ul class="plain">{% for line in view.lines %}<li><bdi>{{ line }}</bdi></li>{% endfor %}</ul>{% endif %}
<p class="note">{{ view.note }}</p>
{{ m.figures(charts) }}"""  # noqa: E501

LOAD: Section[LoadData | None] = Section(
    "load",
    LoadData | None,
    lambda context: context.run_data.load.data,
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="load",
        link="Load",
        heading="Load",
        template=_TEMPLATE,
        view=_page_view,
        charts=_charts,
    ),
    title="load points of a benchmark; null in batch evaluation",
)
