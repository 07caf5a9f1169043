"""The settings: one row each, with every figure about it alone."""

from __future__ import annotations

from evalharness.analysis.summary import SettingSummary, summarise
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.leaders import LEADERS
from evalharness.report.sections.settings.tables import (
    SettingsTable,
    console_footnotes,
    console_settings,
    markdown_settings,
    settings_table,
)


def _build(context: BuildContext) -> list[SettingSummary]:
    return summarise(context.run_data.frame, context.run_data.costs)


def _console(report: ReportData, width: int) -> ConsolePart:
    rows = report[SETTINGS]
    return ConsolePart(console_settings(rows, width), console_footnotes(rows))


def _markdown(report: ReportData) -> list[str]:
    return [markdown_settings(_table(report))]


def _page_view(context: PageContext) -> SettingsTable:
    return _table(context.report)


def _table(report: ReportData) -> SettingsTable:
    return settings_table(report[SETTINGS], report[LEADERS])


_TEMPLATE = """\
<p class="lead">One row a setting; a heading sorts. Brackets are 95 % intervals over prompts.{% if view.marks %} ● marks the best, and whatever cannot be told from it: every setting without the mark is detectably worse.{% endif %}</p>
<div class="scroll sideways" tabindex="0"><table class="wide sortable">
<thead>
<tr class="groups"><td></td>{% for name, span in view.groups %}<th colspan="{{ span }}" scope="colgroup">{{ name }}</th>{% endfor %}</tr>
<tr><th scope="col"><button type="button">setting</button></th>
{%- for c in view.columns %}<th scope="col" title="{{ c.help }}"{% if loop.first or c.group != loop.previtem.group %} class="start"{% endif %}><button type="button">{{ c.heading }}</button></th>{% endfor %}</tr>
</thead>
<tbody>
{% for row, cells in view.rows %}<tr><th scope="row" data-s="{{ row.label }}"><bdi>{{ row.label }}</bdi></th>
{%- for cell in cells %}<td class="{% if loop.first or view.columns[loop.index0].group != view.columns[loop.index0 - 1].group %}start{% endif %}{% if cell.leading %} leading{% endif %}" data-s="{{ '' if cell.sort is none else cell.sort }}">{{ cell.text }}{% if cell.detail %}<small>{{ cell.detail }}</small>{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
"""  # noqa: E501

SETTINGS: Section[list[SettingSummary]] = Section(
    "settings",
    list[SettingSummary],
    _build,
    stage="fork",
    title="all figures about a single setting, one entry a setting",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="settings", link="Settings", heading="Settings", template=_TEMPLATE, view=_page_view
    ),
)
