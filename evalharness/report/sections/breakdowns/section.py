"""Repeatability: agreement by the number of repeats, over prompts, and by circumstance."""

from __future__ import annotations

from evalharness.analysis.agreement.breakdowns import Breakdown, breakdowns
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.section import PageContext, PagePart, Section
from evalharness.report.sections.breakdowns.charts import repeat_charts
from evalharness.report.sections.breakdowns.circumstances import circumstance_tables
from evalharness.report.sections.distributions.section import DISTRIBUTIONS
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.plain_table import PlainTable

_MAX_ROWS = 50  # of each table; the JSON has all


def _view(context: PageContext) -> list[PlainTable] | None:
    report = context.report
    return circumstance_tables(report[SETTINGS], report[BREAKDOWNS], _MAX_ROWS) or None


def _charts(context: PageContext) -> list[Chart]:
    report = context.report
    return repeat_charts(
        report[SETTINGS], report[DISTRIBUTIONS], report[BREAKDOWNS], context.series
    )


_TEMPLATE = """\
<p class="lead">How agreement falls with more repeats, how it is spread over prompts, and what goes with it.{% if left_out %} {{ series | length }} of {{ series | length + left_out }} settings are drawn as lines.{% endif %}</p>
{% if series | length > 1 %}{{ m.legend(series) }}{% endif %}{{ m.figures(charts) }}
{% if view %}<h3>What went with it</h3>
<p class="note">Pairs of repeats of a prompt, by what they had in common: the mean over prompts of the share that is the same text. Observed, not tried: groups may hold different prompts.</p>
{{ m.plain(view, run_argument) }}{% endif %}"""  # noqa: E501 — a paragraph is one line of the page

BREAKDOWNS: Section[list[Breakdown]] = Section(
    "breakdowns",
    list[Breakdown],
    lambda context: breakdowns(context.run_data.frame),
    stage="process",
    title="agreement of pairs of repeats by what they had in common, one entry a setting",
    page=PagePart(
        anchor="repeatability",
        link="Repeatability",
        heading="Repeatability",
        template=_TEMPLATE,
        view=_view,
        charts=_charts,
    ),
)
