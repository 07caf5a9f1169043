"""pass@k, pass^k, G-Pass@k, TAR@k and the planning formulas."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis import stats


@pytest.mark.parametrize("n", range(1, 8))
def test_repeat_formulas_match_enumeration(n: int) -> None:
    """pass@k, pass^k and G-Pass@k are shares of all draws of k of the n repeats."""
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        draws = list(itertools.combinations([1] * c + [0] * (n - c), k))
        hits = np.array([sum(draw) for draw in draws])
        assert stats.pass_at_k(n, c, k) == pytest.approx(np.mean(hits >= 1))
        assert stats.pass_hat_k(n, c, k) == pytest.approx(np.mean(hits == k))
        for tau in (0.25, 0.5, 0.75, 1.0):
            expected = np.mean(hits >= max(1, np.ceil(tau * k)))
            assert stats.g_pass_at_k(n, c, k, tau) == pytest.approx(expected)


def test_g_pass_rounds_before_the_ceiling() -> None:
    """0.7 of 10 is 7, although 0.7 * 10 is a hair more in binary; scipy gives the same."""
    expected = scipy.stats.hypergeom.sf(6, 20, 15, 10)
    assert stats.g_pass_at_k(20, 15, 10, 0.7) == pytest.approx(expected)


def test_more_repeats_than_there_are_is_undefined() -> None:
    """k above n is NaN, element by element."""
    found = stats.pass_at_k([3, 5], [1, 1], 4)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(0.8)
    assert np.isnan(stats.pass_hat_k(2, 1, 3))
    assert np.isnan(stats.g_pass_at_k(2, 1, 3, 0.5))
    assert np.isnan(stats.tar_at_k([1, 1], 3)[0])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(2, 6))
def test_tar_matches_enumeration(counts: list[int], k: int) -> None:
    """TAR@k is the share of all draws of k repeats that are all equal."""
    outputs = [variant for variant, count in enumerate(counts) for _ in range(count)]
    found = stats.tar_at_k(counts, k)[0]
    if k > len(outputs):
        assert np.isnan(found)
        return
    draws = [len(set(draw)) == 1 for draw in itertools.combinations(outputs, k)]
    assert found == pytest.approx(np.mean(draws))
    assert (found == 1.0) == (len(counts) == 1)


def test_tar_keeps_unparsed_answers_in_the_denominator() -> None:
    """Two equal answers among three repeats, one unparsed: one of three pairs agrees."""
    assert stats.tar_at_k([2], 2, n=[3])[0] == pytest.approx(1 / 3)


def test_millers_sample_sizes() -> None:
    """Miller's worked figures: 969 prompts for 3 points; 13.3 to 7.6 points at 198 prompts."""
    many = stats.VarianceComponents(omega2=1 / 9, within_a=0.0, within_b=0.0)
    assert stats.prompts_needed(many, 0.03, 1) == 969
    noisy = stats.VarianceComponents(omega2=1 / 9, within_a=1 / 6, within_b=1 / 6)
    assert stats.minimum_detectable(noisy, 198, 1) == pytest.approx(0.1327, abs=1e-4)
    assert stats.minimum_detectable(noisy, 198, 10) == pytest.approx(0.0757, abs=1e-4)


def test_prompts_needed_is_the_smallest_number_that_is_enough() -> None:
    """One prompt fewer would not detect the difference."""
    q = stats.prompts_needed(stats.TYPICAL_COMPONENTS, 0.02, 3)
    assert stats.minimum_detectable(stats.TYPICAL_COMPONENTS, q, 3) <= 0.02
    assert stats.minimum_detectable(stats.TYPICAL_COMPONENTS, q - 1, 3) > 0.02


def test_variance_components_recover_the_truth() -> None:
    """Between- and within-prompt variance of simulated pass/fail repeats come back."""
    rng = np.random.default_rng(0)
    prompts, repeats = 40_000, 4
    base = rng.uniform(0.2, 0.8, prompts)
    shift = rng.uniform(-0.2, 0.2, prompts)
    rates = np.clip(np.stack([base + shift, base]), 0, 1)
    a, b = (rng.random((prompts, repeats)) < r[:, None] for r in rates)
    a = a.astype(float)
    a[0, 0] = np.nan
    found = stats.variance_components(a, b.astype(float))
    assert found is not None
    assert found.prompts == prompts
    assert found.omega2 == pytest.approx(0.4**2 / 12, rel=0.05)
    assert found.within_b == pytest.approx(float(np.mean(base * (1 - base))), rel=0.02)
    assert stats.variance_components(a[:, :1], b[:, :1]) is None
