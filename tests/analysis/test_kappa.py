"""Agreement of two raters: against published numbers, and its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.stats import rater_agreement


def verdicts(both: int, a: int, b: int, none: int) -> tuple[np.ndarray, np.ndarray]:
    """Two raters by the four counts of their table."""
    x = [True] * both + [True] * a + [False] * b + [False] * none
    y = [True] * both + [False] * a + [True] * b + [False] * none
    return np.array(x), np.array(y)


def test_a_published_table() -> None:
    """Two raters on 50 proposals (Wikipedia's worked example of Cohen's kappa): 0.4."""
    a, b = verdicts(20, 5, 10, 15)
    result = rater_agreement(a, b, np.arange(50))
    assert result.share == pytest.approx(0.7)
    assert result.kappa == pytest.approx(0.4)
    assert result.kappa_ci is not None
    # The large-sample error of Fleiss, Cohen and Everitt gives 0.15 to 0.65.
    assert result.kappa_ci == pytest.approx((0.13, 0.63), abs=0.03)


def test_repeats_of_a_prompt_are_no_new_prompts() -> None:
    """The same verdicts as ten units say as little as ten verdicts."""
    a, b = verdicts(5, 1, 1, 3)
    once = rater_agreement(a, b, np.arange(10))
    often = rater_agreement(np.repeat(a, 20), np.repeat(b, 20), np.repeat(np.arange(10), 20))
    assert often.kappa == pytest.approx(once.kappa)
    assert often.kappa_ci == pytest.approx(once.kappa_ci)
    alone = rater_agreement(np.repeat(a, 20), np.repeat(b, 20), np.arange(200))
    assert alone.kappa_ci is not None
    assert once.kappa_ci is not None
    assert alone.kappa_ci[0] > once.kappa_ci[0]


def test_where_nothing_can_be_said() -> None:
    """One verdict of both: no kappa. A rater of one verdict: kappa 0 without an interval."""
    a, b = verdicts(7, 0, 0, 0)
    assert rater_agreement(a, b, np.arange(7))[2:] == (None, None)
    a, b = verdicts(5, 2, 0, 0)
    assert rater_agreement(a, b, np.arange(7))[2:] == (0.0, None)
    a, b = verdicts(5, 2, 1, 3)
    assert rater_agreement(a, b, np.zeros(11))[3] is None
    a, b = verdicts(5, 0, 0, 5)
    perfect = rater_agreement(a, b, np.arange(10))
    assert perfect.kappa == 1.0
    assert perfect.kappa_ci is not None
    assert 0.0 < perfect.kappa_ci[0] < 0.7
    assert perfect.kappa_ci[1] == 1.0


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=1))
def test_bounds_and_symmetry(rows: list[tuple[bool, bool, int]]) -> None:
    a, b, units = (np.array(column) for column in zip(*rows, strict=True))
    result = rater_agreement(a, b, units)
    turned = rater_agreement(b, a, units)
    assert result.kappa == pytest.approx(turned.kappa)
    assert result.share == turned.share
    if result.kappa is not None:
        assert -1.0 - 1e-9 <= result.kappa <= 1.0
    if result.kappa_ci is not None:
        low, high = result.kappa_ci
        assert result.kappa is not None
        assert low - 1e-9 <= result.kappa <= high + 1e-9
        assert high <= 1.0 + 1e-9
