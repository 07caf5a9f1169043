"""Sign-flip tests: textbook values, enumeration, false positives; threads change nothing."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis import stats
from evalharness.analysis.stats import permutation


def test_equal_columns_are_flipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal columns one is tried, of those no pattern can reach none: p is the same."""
    rng = np.random.default_rng(0)
    column = rng.normal(size=200)
    tried: list[int] = []
    count = permutation._count_extreme

    def counted(sums: Any, *rest: Any) -> Any:
        tried.append(len(sums))
        return count(sums, *rest)

    monkeypatch.setattr(permutation, "_count_extreme", counted)
    table = np.column_stack([column, column + 2.0, column, np.zeros(200), column + 0.1])
    p = permutation.sign_flip(table)
    assert tried == [2]
    assert p[0] == p[2] == permutation.sign_flip(column)[0]
    assert p[4] == permutation.sign_flip(column + 0.1)[0]
    assert p[1] == 1e-4  # what trying it gives, too:
    assert count((column + 2.0)[None], np.zeros(1), 0, 9_999).tolist() == [0]
    assert p[3] == 1.0


@pytest.mark.parametrize("blas", ["1", "2"])
def test_sign_flips_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch, blas: str) -> None:
    """Whoever shares the products, and in whatever blocks: the same patterns, the same p."""
    table = np.random.default_rng(1).normal(0.01, 1.0, size=(700, 3))
    expected = permutation.sign_flip(table)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", blas)
    monkeypatch.setattr(permutation, "_SIGNS_MULTIPLIED", 7_001)
    assert permutation.sign_flip(table).tolist() == expected.tolist()


# Darwin's maize: crossed minus self-fertilised height, eighths of an inch (Fisher 1935, §17).
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def _brute_force(differences: list[float]) -> float:
    total = abs(math.fsum(differences))
    signs = itertools.product((1, -1), repeat=len(differences))
    sums = [
        abs(math.fsum(s * d for s, d in zip(pattern, differences, strict=True)))
        for pattern in signs
    ]
    return sum(value >= total - 1e-9 for value in sums) / len(sums)


def test_sign_flip_reproduces_fishers_test_of_darwins_maize() -> None:
    """Fisher counted 863 of 32,768 patterns in one tail: p = .0527, here up to drawing noise."""
    p = stats.sign_flip(np.array(DARWIN, dtype=float))[0]
    assert p == pytest.approx(2 * 863 / 32768, abs=3 * math.sqrt(0.05 * 0.95 / 9999))


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_sign_flip_enumerates_small_samples(differences: list[int]) -> None:
    """Up to 13 differing prompts p is exact: every sign pattern, ties included."""
    values = [float(d) for d in differences]
    assert stats.sign_flip(np.array(values))[0] == pytest.approx(_brute_force(values))


def test_sign_flip_on_five_prompts_cannot_go_below_a_sixteenth() -> None:
    """Five prompts reach p = .0625 at best, six .03125; no difference at all is p = 1."""
    assert stats.sign_flip(np.ones(5))[0] == 0.0625
    assert stats.sign_flip(np.ones(6))[0] == 0.03125
    assert stats.sign_flip(np.zeros(8))[0] == 1.0
    assert np.isnan(stats.sign_flip(np.full(4, np.nan))[0])


def test_sign_flip_matches_scipy() -> None:
    """Drawn patterns agree with scipy's permutation test up to drawing noise."""
    d = np.random.default_rng(4).normal(0.1, 0.5, 80)
    theirs = scipy.stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=9999, rng=2, vectorized=False
    ).pvalue
    assert stats.sign_flip(d)[0] == pytest.approx(theirs, abs=0.02)


def test_sign_flip_of_clusters_flips_them_whole() -> None:
    """Four clusters of five equal prompts are four units: p cannot go below 1/8."""
    assert stats.sign_flip(np.ones(20), clusters=np.repeat(np.arange(4), 5))[0] == 0.125


def test_columns_do_not_influence_each_other() -> None:
    """A comparison has the same p alone and among others; missing prompts count nothing."""
    rng = np.random.default_rng(0)
    table = rng.normal(0.05, 0.4, size=(200, 7))
    table[rng.random(table.shape) < 0.1] = np.nan
    together = stats.sign_flip(table, seed=3)
    alone = [stats.sign_flip(table[:, j], seed=3)[0] for j in range(7)]
    assert together.tolist() == alone
    assert together.tolist() == stats.sign_flip(table, seed=3).tolist()
    assert together.tolist() != stats.sign_flip(table, seed=4).tolist()


@given(st.lists(st.floats(-1, 1, width=32), min_size=14, max_size=30))
def test_sign_flip_is_symmetric_and_a_probability(differences: list[float]) -> None:
    """Exchanging the two settings leaves p as it is; p is never 0."""
    d = np.array(differences)
    p, reverse = stats.sign_flip(d, draws=199)[0], stats.sign_flip(-d, draws=199)[0]
    assert p == reverse
    assert 0.0 < p <= 1.0


def _simulated(prompts: int, repeats: int, simulations: int) -> tuple[np.ndarray, np.ndarray]:
    """Pass rates of two settings without a mean difference, but with prompt-level effects."""
    rng = np.random.default_rng(repeats)
    base = rng.beta(0.8, 0.6, (prompts, simulations))
    effect = rng.normal(0.0, 0.1, (2, prompts, simulations))
    rates = np.clip(base + effect, 0.0, 1.0)
    counts = rng.binomial(repeats, rates)
    return counts[0] / repeats, counts[1] / repeats


@pytest.mark.parametrize("repeats", [5, 10])
def test_permutation_false_positives(repeats: int) -> None:
    """With no mean difference at most 5 % of tests at K = 5 and 10 are significant (± 3 MC)."""
    a, b = _simulated(100, repeats, 2000)
    rate = float(np.mean(stats.sign_flip(a - b, draws=999) <= 0.05))
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)
    assert rate >= 0.03  # and it is no test that never finds anything
