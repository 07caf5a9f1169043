"""Names and ticks of a chart."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import log_ticks, names_for


@given(st.floats(1e-4, 1e3), st.floats(1.1, 1e5))
def test_ticks_of_a_logarithmic_axis_lie_on_it(low: float, factor: float) -> None:
    """Inside the range, ascending, few; at least one for each factor of ten."""
    ticks = log_ticks(low, low * factor)
    assert ticks == sorted(ticks)
    assert all(low <= tick <= low * factor for tick in ticks)
    assert math.floor(math.log10(factor)) <= len(ticks) <= 12


def test_names_that_shortening_would_join_are_numbered() -> None:
    """Two settings never share a row of a plot."""
    names = names_for(["a long label, seed=1", "a long label, seed=2"], 12)
    assert len(set(names)) == 2


def test_rows_of_a_forest_plot_are_told_apart_with_three_axes() -> None:
    """No label loses the axis in which it differs from its neighbours."""
    from evalharness.report.html.charts import comparisons

    rows = [
        {"by": "seed", "a_value": None, "b_value": 7, "pooled": False,
         "stratum": {"temperature": t, "top_p": p}}
        for t in (0.0, 0.7) for p in (0.5, 0.95)
    ]  # fmt: skip
    found = [comparisons.row_name(row) for row in rows]
    assert chart_parts.names_for(found, comparisons.MAX_LABEL) == found
