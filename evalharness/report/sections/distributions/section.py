"""Time and tokens: distributions of latency, tokens and agreement by setting."""

from __future__ import annotations

from evalharness.analysis.distributions import Distribution, distributions
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.section import PageContext, PagePart, Section
from evalharness.report.sections.distributions.charts import speed_charts
from evalharness.report.sections.settings.section import SETTINGS


def _charts(context: PageContext) -> list[Chart]:
    return speed_charts(context.report[SETTINGS], context.report[DISTRIBUTIONS], context.series)


_TEMPLATE = """\
<p class="lead">Delivered answers only, without the wait in our own queue. Percentiles are in the <a href="#settings">table of settings</a>; p99 is withheld below 100 answers.</p>
{% if series | length > 1 %}{{ m.legend(series) }}{% endif %}{{ m.figures(charts) }}"""  # noqa: E501 — a paragraph is one line of the page

DISTRIBUTIONS: Section[list[Distribution]] = Section(
    "distributions",
    list[Distribution],
    lambda context: distributions(context.run_data.frame),
    stage="fork",
    title="latency, tokens and agreement of single prompts, one entry a setting",
    page=PagePart(
        anchor="time",
        link="Time",
        heading="Time and tokens",
        template=_TEMPLATE,
        charts=_charts,
    ),
)
