"""The classification of each setting, where targets are labels; nothing where they are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.classification.classification import Classification, classify
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.classification.tables import (
    SettingTables,
    introduction,
    overview,
    setting_tables,
)
from evalharness.report.sections.settings.number_format import share_with_interval
from evalharness.report.words.format_numbers import percent, share_interval
from evalharness.report.words.markdown_text import bullet_list, escape_text, markdown_table
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

if TYPE_CHECKING:
    from rich.table import Table

_MAX_SETTINGS = 4  # shown in full on console and in Markdown
_MAX_ON_PAGE = 24
_MAX_LABEL = 80
_FOOTNOTES = (
    "outside: a label that is no class; unparsed: no label; both count as wrong, and are no class",
    "macro F1: mean over classes of F1, the harmonic mean of precision and recall",
)


def _build(context: BuildContext) -> Classification | None:
    return classify(context.run_data.frame, context.run_data.labels)


def _page_share(value: float | None, ci: Sequence[float] | None) -> str:
    return f"{percent(value)} {share_interval(ci)}".strip()


# ── console ──────────────────────────────────────────────────────────────────────────────────────


def _console(report: ReportData, width: int) -> ConsolePart:
    from evalharness.report.console.table_layout import fit_plain_table

    data = report[CLASSIFICATION]
    if data is None:
        return ConsolePart([])
    items: list[str | Table] = [f"Classification: {introduction(data)}"]
    items += fit_plain_table(overview(data, share_with_interval), width)
    for entry in data.settings[:_MAX_SETTINGS]:
        shown = setting_tables(entry, share_with_interval)
        items.append("")
        items.append(one_line(shown.title, _MAX_LABEL))
        for table in (shown.confusion, shown.classes):
            if table is not None:
                items += fit_plain_table(table, width)
                items += [f"  {_more(table)}"] if table.more else []
        items += [f"  {line}" for line in shown.lines]
    left_out = len(data.settings) - _MAX_SETTINGS
    if left_out > 0:
        items.append(f"{left_out} more settings in the HTML report")
    return ConsolePart(items, _FOOTNOTES)


def _more(table: PlainTable) -> str:
    return f"{table.more} more classes, with a higher F1, in --json"


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────


def _markdown(report: ReportData) -> list[str]:
    data = report[CLASSIFICATION]
    if data is None:
        return []
    table = overview(data, _page_share)
    blocks = [
        f"**Classification:** {escape_text(introduction(data))}",
        markdown_table(table.headings, table.rows),
    ]
    for entry in data.settings[:_MAX_SETTINGS]:
        shown = setting_tables(entry, _page_share)
        blocks.append(f"**{escape_text(shown.title, _MAX_LABEL)}**")
        blocks += [
            markdown_table(table.headings, table.rows)
            for table in (shown.confusion, shown.classes)
            if table is not None
        ]
        lines = [*shown.lines, *([_more(shown.classes)] if shown.classes.more else [])]
        blocks += [bullet_list(lines)] if lines else []
    left_out = len(data.settings) - _MAX_SETTINGS
    return blocks + ([f"{left_out} more settings in the HTML report."] if left_out > 0 else [])


# ── page ─────────────────────────────────────────────────────────────────────────────────────────


class ClassificationView(NamedTuple):
    """What the page shows.

    Attributes:
        introduction: what was compared.
        overview: one row a setting.
        settings: their tables.
        left_out: settings without tables.
    """

    introduction: str
    overview: PlainTable
    settings: list[SettingTables]
    left_out: int


def _view(context: PageContext) -> ClassificationView | None:
    data = context.report[CLASSIFICATION]
    if data is None:
        return None
    shown = [setting_tables(entry, _page_share) for entry in data.settings[:_MAX_ON_PAGE]]
    left_out = len(data.settings) - len(shown)
    return ClassificationView(introduction(data), overview(data, _page_share), shown, left_out)


_TEMPLATE = """\
<p class="lead"><bdi>{{ view.introduction }}</bdi>. A label that is no class (<i>outside</i>) and no label at all (<i>unparsed</i>) count as wrong, and are no class. Brackets are 95 % intervals over prompts.</p>
{{ m.plain([view.overview], run_argument) }}
{% for s in view.settings %}<h3 class="spaced"><bdi>{{ s.title }}</bdi></h3>
{% if s.confusion %}<div class="scroll sideways" tabindex="0"><table class="wide"><thead><tr>{% for h in s.confusion.headings %}<th scope="col"><bdi>{{ h }}</bdi></th>{% endfor %}</tr></thead><tbody>
{% for row in s.confusion.rows %}{% set diagonal = loop.index %}<tr><th scope="row"><bdi>{{ row[0] }}</bdi></th>{% for cell in row[1:] %}<td>{% if loop.index == diagonal %}<b>{{ cell }}</b>{% else %}{{ cell }}{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endif %}{{ m.plain([s.classes], run_argument) }}
{% if s.lines %}<ul class="plain quiet">{% for line in s.lines %}<li><bdi>{{ line }}</bdi></li>{% endfor %}</ul>{% endif %}
{% endfor %}
{% if view.left_out %}<p class="note">{{ view.left_out }} more settings: <code>evalharness report {{ run_argument }} --json</code></p>{% endif %}
"""  # noqa: E501 — a row is one line of the page

CLASSIFICATION: Section[Classification | None] = Section(
    "classification",
    Classification | None,
    _build,
    stage="fork",
    title="confusion table, precision, recall and F1 by class; null where targets are no labels",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="classification",
        link="Classification",
        heading="Classification",
        template=_TEMPLATE,
        view=_view,
    ),
)
