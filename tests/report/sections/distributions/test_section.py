"""The distributions of a run, and what is drawn of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from evalharness.analysis.distributions import Spread
from evalharness.report.build_report import Report
from evalharness.report.html.series import series_of
from evalharness.report.section import PageContext
from evalharness.report.sections.distributions.charts import speed_charts
from evalharness.report.sections.distributions.section import DISTRIBUTIONS
from evalharness.report.sections.settings.section import SETTINGS
from tests.report import runs


def test_distributions_count_every_prompt_once(sweep: Report) -> None:
    """The tally of agreements over prompts adds up to the prompts of the setting."""
    for row, drawn in zip(sweep.data[SETTINGS], sweep.data[DISTRIBUTIONS], strict=True):
        assert sum(count for _, count in drawn.agreement) == row.prompts
        mean = sum(value * count for value, count in drawn.agreement) / row.prompts
        assert mean == pytest.approx(row.agreement.raw.pairwise, abs=1e-4)


def test_what_never_changes_is_not_drawn(tmp_path: Path) -> None:
    """Outputs of one length everywhere are no plot: the table says it."""
    built = runs.sweep(tmp_path, 12, 3)
    settings = built.data[SETTINGS]
    equal = Spread(n=36, p5=7.0, p25=7.0, p50=7.0, p75=7.0, p95=7.0)
    alike = [msgspec.structs.replace(d, completion_tokens=equal) for d in built.data[DISTRIBUTIONS]]
    titles = [
        [chart.title for chart in speed_charts(settings, distributions, series_of(settings))]
        for distributions in (built.data[DISTRIBUTIONS], alike)
    ]
    assert titles[0] == ["Latency distribution", "First token distribution", "Length of outputs"]
    assert titles[1] == titles[0][:-1]


def test_settings_without_a_look_are_in_no_line_plot(sweep: Report) -> None:
    """The length of outputs has a row for each setting; the lines need a look."""
    assert DISTRIBUTIONS.page is not None
    charts = DISTRIBUTIONS.page.charts(PageContext(sweep.data, {}, 8))
    assert [chart.title for chart in charts] == ["Length of outputs"]
