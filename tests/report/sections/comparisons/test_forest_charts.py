"""Forest plots of comparisons."""

from __future__ import annotations

from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.sections.comparisons.forest_charts import (
    MAX_LABEL,
    MAX_ROWS,
    forest_charts,
    row_name,
)
from tests.report.sections.comparisons.rows import comparison


def test_rows_are_told_apart_with_three_axes() -> None:
    """No label loses the axis in which it differs from its neighbours."""
    names = [
        row_name(comparison(stratum={"temperature": t, "top_p": p}))
        for t in (0.0, 0.7) for p in (0.5, 0.95)
    ]  # fmt: skip
    assert chart_parts.names_for(names, MAX_LABEL) == names


def test_pooled_rows_come_first_and_real_ones_are_coloured() -> None:
    """Where not all fit, the strata are left out, and the caption says so."""
    strata = [comparison(stratum={"top_p": i}, difference=0.1) for i in range(MAX_ROWS)]
    pooled = comparison(pooled=True, difference=-1.0, ci95=[-1.2, -0.8], p_adjusted=0.01)
    (chart,) = forest_charts([*strata, pooled])
    first, second, *_ = chart.spec["data"]["values"]
    assert (first["colour"], second["colour"]) == (palette.DETECTED, palette.OPEN)
    assert (first["value"], first["low"]) == (-100.0, -100.0), "differences of shares end at 100 pp"
    assert f"{MAX_ROWS} of {MAX_ROWS + 1} comparisons" in chart.caption


def test_a_metric_in_which_nothing_differs_has_no_plot() -> None:
    """Zeros everywhere are told in a sentence."""
    assert forest_charts([comparison(), comparison(n=0, difference=None, ci95=None)]) == []


def test_short_times_are_drawn_in_milliseconds() -> None:
    """The axis has the unit of the largest figure."""
    row = comparison(metric="latency_s", difference=0.002, ci95=[-0.001, 0.005])
    (chart,) = forest_charts([row])
    assert chart.spec["data"]["values"][0]["value"] == 2.0
    assert "difference (ms)" in str(chart.spec)
