"""Sums that are rounded once: equal to the exact sum, in any order."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.data.exact_sums import mean_of, sums_by_group, sums_of_rows

# Figures as they come: scores, seconds, dollars, tokens; differences of either sign.
NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([0.1, 0.2, 0.3, 1 / 3, 2 / 3, 1e-9, 0.0, 5e-324])
GROUPS = 4


@given(st.lists(st.tuples(st.integers(0, GROUPS - 1), NUMBERS), max_size=60), st.randoms())
def test_sums_by_group_are_the_exact_sums(terms: list[tuple[int, float]], random) -> None:
    """Each group's sum is the exact one, rounded once, whatever the order."""
    expected = [math.fsum(value for group, value in terms if group == g) for g in range(GROUPS)]
    for _ in range(2):
        group = np.array([g for g, _ in terms], dtype=np.int64)
        values = np.array([value for _, value in terms])
        assert sums_by_group(group, values, GROUPS).tolist() == expected
        random.shuffle(terms)


@given(st.lists(st.tuples(*[NUMBERS] * 5), min_size=1, max_size=8))
def test_sums_of_rows_are_the_exact_sums(rows: list[tuple[float, ...]]) -> None:
    """The same for the rows of a matrix."""
    assert sums_of_rows(np.array(rows)).tolist() == [math.fsum(row) for row in rows]


@given(st.lists(NUMBERS, min_size=1, max_size=60))
def test_a_mean_is_the_exact_sum_over_the_number(values: list[float]) -> None:
    """Of numbers that do not cancel out, the mean is the exact sum over their number."""
    magnitudes = [abs(value) for value in values]
    exact = sum(map(Fraction, magnitudes), Fraction(0)) / len(values)
    assert mean_of(np.array(magnitudes)) == pytest.approx(float(exact), rel=3e-16, abs=0)
    assert mean_of(np.array(magnitudes[::-1])) == mean_of(np.array(magnitudes))


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60), st.randoms())
def test_differences_of_the_same_numbers_have_a_mean_of_zero(values: list[float], random) -> None:
    """The differences of the same numbers in two orders cancel out, whatever each was rounded to."""
    other = random.sample(values, len(values))
    mean = mean_of(np.array(values) - np.array(other))
    assert mean == 0.0
    assert math.copysign(1.0, mean) == 1.0


def test_numbers_beyond_the_range_are_summed_all_the_same() -> None:
    """Where no power of 2 is large enough, sums are plain ones."""
    assert mean_of(np.array([1e308, 1e307])) == pytest.approx(5.5e307)
    assert mean_of(np.array([math.inf, 1.0])) == math.inf
