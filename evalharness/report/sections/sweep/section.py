"""What the swept parameters do to each figure: curves, heat maps, and dots by setting."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalharness.analysis.distributions import Distribution
from evalharness.analysis.summary import SettingSummary
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.html.series import axes_of
from evalharness.report.section import PageContext, PagePart, Section
from evalharness.report.sections.distributions.section import DISTRIBUTIONS
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.sections.sweep.curves import curve
from evalharness.report.sections.sweep.grids import dots, heat_map
from evalharness.report.sections.sweep.metric import sweep_metrics
from evalharness.report.words.sanitize import one_line

MAX_CELLS = 14  # values on an axis of a heat map
MAX_DOTS = 30  # names in a dot plot


def sweep_charts(
    rows: Sequence[SettingSummary], distributions: Sequence[Distribution]
) -> list[Chart]:
    """The plots of a sweep: each figure against each axis."""
    axes = axes_of(rows)
    if not axes or len(rows) < 2:
        return []
    metrics = sweep_metrics(rows, distributions)
    numeric = [axis for axis in axes if axis.is_numeric]
    charts: list[Chart] = []
    for axis in numeric[:2]:
        curves = [curve(rows, axis, axes, metric) for metric in metrics]
        charts += _with_heading(f"Against {one_line(axis.name, 40)}", curves)
    if len(axes) == 2 and all(len(axis.values) <= MAX_CELLS for axis in axes):
        maps = [heat_map(rows, axes[0], axes[1], metric) for metric in metrics]
        names = [one_line(axis.name, 40) for axis in axes]
        charts += _with_heading(f"By {names[0]} and {names[1]}", maps)
    elif not numeric and len(rows) <= MAX_DOTS:
        charts += _with_heading("By setting", [dots(rows, metric) for metric in metrics])
    return charts


def _with_heading(heading: str, charts: list[Chart]) -> list[Chart]:
    """Return the plots as one line with a heading and a shared legend."""
    return [
        msgspec.structs.replace(
            chart, row="" if i else heading, row_legend=() if i else chart.legend, legend=()
        )
        for i, chart in enumerate(charts)
    ]


def _charts(context: PageContext) -> list[Chart]:
    return sweep_charts(context.report[SETTINGS], context.report[DISTRIBUTIONS])


_TEMPLATE = """\
<p class="lead">What the swept parameters do to each figure.</p>
{{ m.figures(charts) }}"""

SWEEP: Section[None] = Section(
    "sweep",
    page=PagePart(
        anchor="sweep", link="Sweep", heading="Sweep", template=_TEMPLATE, charts=_charts
    ),
)
