"""The interval of a mean from sums of clusters is that from the values themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.analysis import stats

_values = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 1000).map(lambda n: n / 8)),
    min_size=1,
    max_size=90,
)


@settings(max_examples=60, deadline=None)
@given(_values)
def test_sums_say_as_much_as_values(rows: list[tuple[int, float]]) -> None:
    """Few clusters, many clusters, equal values, a single cluster: the same ends, or none."""
    labels = np.array([label for label, _ in rows])
    values = np.array([value for _, value in rows])
    sizes = np.bincount(labels)
    there = sizes > 0
    found = stats.ratio_ci(
        np.bincount(labels, values)[there],
        sizes[there].astype(np.float64),
        lowest=float(values.min()),
        highest=float(values.max()),
    )
    expected = stats.mean_ci(values, clusters=labels, scale="real")
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9))
