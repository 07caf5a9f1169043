"""Distributions of figures, in few points."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.distributions import POINTS, ecdf


@given(st.lists(st.floats(0.001, 1000), max_size=400))
def test_an_ecdf_rises_to_one_within_bounds(values: list[float]) -> None:
    """Few points whatever the number of values; monotone in both directions; ends at the maximum."""
    found = ecdf(np.array([*values, np.nan]))
    points = found.ecdf
    assert found.n == len(values)
    assert len(points) <= POINTS
    assert points == sorted(points)
    if values:
        assert points[-1] == [max(values), 1.0]
