"""The plots of repeatability."""

from __future__ import annotations

import msgspec

from evalharness.report.build_report import Report
from evalharness.report.html.series import series_of
from evalharness.report.sections.breakdowns.charts import repeat_charts
from evalharness.report.sections.breakdowns.section import BREAKDOWNS
from evalharness.report.sections.distributions.section import DISTRIBUTIONS
from evalharness.report.sections.settings.section import SETTINGS


def test_points_of_a_few_pairs_are_not_drawn(sweep: Report) -> None:
    """One pair is 0 % or 100 %: it says nothing, and the caption says that it was left out."""
    settings = sweep.data[SETTINGS]
    first, *rest = sweep.data[BREAKDOWNS]
    many = next(g for g in first.time_gap if g.group != "unknown" and g.pairs >= 10)
    few = msgspec.structs.replace(many, pairs=3, agreement=0.0)
    gaps = [few if group is many else group for group in first.time_gap]
    before, after = (
        next(
            chart
            for chart in repeat_charts(
                settings, sweep.data[DISTRIBUTIONS], breakdowns, series_of(settings)
            )
            if "apart" in chart.title
        )
        for breakdowns in (
            [first, *rest],
            [msgspec.structs.replace(first, time_gap=gaps), *rest],
        )
    )
    assert len(after.spec["data"]["values"]) == len(before.spec["data"]["values"]) - 1
    assert "fewer than 10 pairs" in after.caption
