"""Names and ticks of a chart."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

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
