"""The comparisons along every axis of the run, the trends, and the axes that allow none."""

from __future__ import annotations

from evalharness.analysis.comparison.all_axes import RunComparisons, compare_all_axes
from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.trend import Trend
from evalharness.analysis.data.frame import RunFrame
from evalharness.records import canonical_json
from evalharness.report.build.context import BuildContext
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.section import PageContext, PagePart, ReportData, Section
from evalharness.report.sections.comparisons.differences import slope_sentences
from evalharness.report.sections.comparisons.forest_charts import forest_charts
from evalharness.report.sections.comparisons.page_tables import (
    ComparisonTable,
    comparison_table,
    trend_table,
)
from evalharness.report.words.markdown_text import bullet_list

#: The sections that need the comparisons are built together.
COMPARISONS_TASK = "comparisons"
_MAX_ITEMS = 10  # of a list in Markdown


def compare_once(context: BuildContext) -> RunComparisons:
    """Compare the settings of a run in every way; the sections of one task share the result."""
    if COMPARISONS_TASK not in context.shared:
        frame = context.run_data.frame
        context.shared[COMPARISONS_TASK] = compare_all_axes(frame, _varying_axes(frame))
    comparisons: RunComparisons = context.shared[COMPARISONS_TASK]
    return comparisons


def _varying_axes(frame: RunFrame) -> list[str]:
    """Return the axes that have more than one value."""
    axes: dict[str, set[bytes]] = {}
    for index in range(len(frame.setting_ids)):
        for name, value in frame.axes(index).items():
            axes.setdefault(name, set()).add(canonical_json(value))
    return [name for name, values in axes.items() if len(values) > 1]


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────


def _trends_markdown(report: ReportData) -> list[str]:
    sentences = slope_sentences(report[TRENDS])
    if not sentences:
        return []
    listed = bullet_list(sentences, _MAX_ITEMS)
    return [f"**Trends along an axis** (95 % intervals)\n\n{listed}"]


# ── page ─────────────────────────────────────────────────────────────────────────────────────────


def _comparisons_view(context: PageContext) -> ComparisonTable | None:
    return comparison_table(context.report[COMPARISONS])


def _comparison_charts(context: PageContext) -> list[Chart]:
    return forest_charts(context.report[COMPARISONS])


def _trends_view(context: PageContext) -> ComparisonTable | None:
    return trend_table(context.report[TRENDS])


_COMPARISONS_TEMPLATE = """\
<p class="lead">Each setting against its counterpart at the lowest or first value of an axis, everything else equal, paired by prompt. p is adjusted for all lines of the headline; of comparisons that are not in it, within each metric. Intervals are not adjusted.</p>
{{ m.figures(charts) }}
<details><summary>All figures ({{ view.rows | length }} comparisons)</summary>
<div class="scroll sideways" tabindex="0"><table class="sortable"><thead><tr><th><button type="button">comparison</button></th><th><button type="button">metric</button></th><th><button type="button">difference</button></th><th>95 % interval</th><th><button type="button">adjusted p</button></th><th><button type="button">n</button></th><th title="prompts where the first is higher, lower, equal">up / down / tied</th><th title="the smallest difference that 80 % of such runs would find">detectable</th></tr></thead><tbody>
{% for c in view.rows %}<tr><td data-s="{{ c.what }}"><bdi>{{ c.what }}</bdi><small><bdi>{{ c.where }}</bdi></small></td><td data-s="{{ c.metric }}">{{ c.metric }}</td><td data-s="{{ '' if c.sort is none else c.sort }}"{% if c.detected %} class="leading"{% endif %}>{{ c.size }}</td><td>{{ c.interval }}</td><td data-s="{{ '' if c.p_sort is none else c.p_sort }}">{{ c.p }}</td><td data-s="{{ c.n }}">{{ c.n }}</td><td>{{ c.tally }}</td><td>{{ c.detectable }}</td></tr>
{% endfor %}</tbody></table></div>
{% if view.left_out %}<p class="note">{{ view.left_out }} more: <code>evalharness report {{ run_argument }} --json</code></p>{% endif %}</details>"""  # noqa: E501

_TRENDS_TEMPLATE = """\
<p class="lead">The mean over prompts of each prompt's slope along a numeric axis of three or more values.</p>
<div class="scroll sideways" tabindex="0"><table class="sortable"><thead><tr><th><button type="button">trend</button></th><th><button type="button">slope</button></th><th>95 % interval</th><th><button type="button">adjusted p</button></th><th><button type="button">n</button></th></tr></thead><tbody>
{% for t in view.rows %}<tr><td data-s="{{ t.what }}"><bdi>{{ t.what }}</bdi><small><bdi>{{ t.where }}</bdi></small></td><td data-s="{{ '' if t.sort is none else t.sort }}"{% if t.detected %} class="leading"{% endif %}>{{ t.size }}</td><td>{{ t.interval }}</td><td data-s="{{ '' if t.p_sort is none else t.p_sort }}">{{ t.p }}</td><td data-s="{{ t.n }}">{{ t.n }}</td></tr>
{% endfor %}</tbody></table></div>"""  # noqa: E501


COMPARISONS: Section[list[Comparison]] = Section(
    "comparisons",
    list[Comparison],
    lambda context: compare_once(context).comparisons,
    stage="process",
    task=COMPARISONS_TASK,
    page=PagePart(
        anchor="comparisons",
        link="Comparisons",
        heading="Comparisons",
        template=_COMPARISONS_TEMPLATE,
        view=_comparisons_view,
        charts=_comparison_charts,
    ),
    title="settings against their counterparts at a baseline value, in every metric",
)
HEADLINE_LINES: Section[int] = Section(
    "headline_lines",
    int,
    lambda context: compare_once(context).headline_lines,
    stage="process",
    task=COMPARISONS_TASK,
    title="how many differences the headline tests together, those not detected included",
)
NOT_COMPARABLE: Section[dict[str, str]] = Section(
    "not_comparable",
    dict[str, str],
    lambda context: compare_once(context).not_comparable,
    stage="process",
    task=COMPARISONS_TASK,
    title="axes along which no two settings differ in that axis alone, with the reason",
)
TRENDS: Section[list[Trend]] = Section(
    "trends",
    list[Trend],
    lambda context: compare_once(context).trends,
    stage="process",
    task=COMPARISONS_TASK,
    markdown=_trends_markdown,
    page=PagePart(
        anchor="trends", link="", heading="Trends", template=_TRENDS_TEMPLATE, view=_trends_view
    ),
    title="slopes along numeric axes of three or more values, by stratum",
)
