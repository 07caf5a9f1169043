"""Intervals of single figures: textbook values, cross-checks against scipy, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis import stats


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_matches_newcombe(successes: int, n: int, low: float, high: float) -> None:
    """Wilson's interval gives the published values of Newcombe (Stat. Med. 17, 1998, table I)."""
    found = stats.wilson(successes, n)
    assert found is not None
    assert found == pytest.approx((low, high), abs=5e-5)


def test_wilson_is_null_without_data_and_touches_the_ends() -> None:
    """No trials give null; all successes end exactly at 1."""
    assert stats.wilson(0, 0) is None
    assert stats.wilson(10, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert stats.wilson(0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_proportions_match_scipy(case: tuple[int, int]) -> None:
    """Wilson's interval agrees with scipy's for any count."""
    theirs = scipy.stats.binomtest(*case).proportion_ci(method="wilson")
    assert stats.wilson(*case) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_constant_data() -> None:
    """All 0 or all 1 get Wilson's interval, other constants and single values null."""
    assert stats.mean_ci(np.zeros(50)) == stats.wilson(0, 50)
    assert stats.mean_ci(np.ones(7)) == stats.wilson(7, 7)
    assert stats.mean_ci(np.full(50, 0.5)) is None
    assert stats.mean_ci([0.3]) is None
    assert stats.mean_ci([]) is None
    assert stats.mean_ci([np.nan]) is None
    assert stats.mean_ci(np.ones(50), scale="amount") is None


@pytest.mark.parametrize("n", [30, 600])
def test_cluster_resampling_is_wider_than_ignoring_clusters(n: int) -> None:
    """Prompts that agree within clusters carry less information, whichever way it is computed."""
    labels = np.repeat(np.arange(n), 4)
    values = np.random.default_rng(n).random(n)[labels]
    clustered, plain = stats.mean_ci(values, clusters=labels), stats.mean_ci(values)
    assert clustered is not None
    assert plain is not None
    assert (clustered[1] - clustered[0]) / (plain[1] - plain[0]) == pytest.approx(2.0, rel=0.1)


def test_no_divergence_bounds() -> None:
    """Nothing in 10 and 60 leaves room for 26 % and 5 %; near 3/n for large n (rule of three)."""
    assert stats.divergence_bound(10) == pytest.approx(0.259, abs=1e-3)
    assert stats.divergence_bound(60) == pytest.approx(0.0487, abs=1e-4)
    assert stats.divergence_bound(3000) == pytest.approx(3 / 3000, rel=0.01)
    assert stats.divergence_bound(0) is None


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=40),
    st.randoms(use_true_random=False),
)
def test_interval_does_not_depend_on_order(values: list[float], random: object) -> None:
    """Shuffled prompts give the same interval, and it holds the mean."""
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = stats.mean_ci(values), stats.mean_ci(shuffled)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert first == pytest.approx(second, abs=1e-9)
        assert first[0] - 1e-9 <= float(np.mean(values)) <= first[1] + 1e-9


@pytest.mark.parametrize("clusters", [30, 10_000])
def test_clusters_that_are_copies_have_no_interval(clusters: int) -> None:
    """Each prompt costs the same under every setting: nothing varies between prompts."""
    labels = np.repeat(np.arange(clusters), 2)
    for cheap in np.linspace(0.001, 0.01, 20):  # where rounding hides that they are copies, too
        costs = np.tile([cheap, 3 * cheap], clusters)
        assert stats.mean_ci(costs, clusters=labels, scale="amount") is None


def test_amounts_without_skewness_have_students_t() -> None:
    """Symmetric values get scipy's t interval; missing values are dropped first."""
    half = np.random.default_rng(3).random(10)
    values = np.concatenate([half, -half]) + 5.0
    expected = scipy.stats.t.interval(0.95, 19, loc=values.mean(), scale=scipy.stats.sem(values))
    with_gaps = np.concatenate([values, [np.nan, np.nan]])
    assert stats.mean_ci(with_gaps, scale="amount") == pytest.approx(expected)


def test_shares_have_wilson_on_what_their_spread_is_worth() -> None:
    """Pass or fail: as many trials as prompts, less one, with t in place of z."""
    values = np.array([1.0] * 15 + [0.0] * 5)
    expected = stats.wilson(0.75 * 19, 19, df=19)
    assert stats.mean_ci(values) == pytest.approx(expected)


def test_skewed_amounts_reach_further_up() -> None:
    """Of a long right tail the upper end is farther from the mean than the lower one."""
    values = np.random.default_rng(4).lognormal(0.0, 1.0, 20)
    ends = stats.mean_ci(values, scale="amount")
    assert ends is not None
    assert ends[1] - values.mean() > 1.5 * (values.mean() - ends[0])


def _held(units: int, kind: str, runs: int, sizes: list[int] | None = None) -> float:
    """The share of intervals that hold the true mean."""
    rng = np.random.default_rng(units)
    labels = None if sizes is None else np.repeat(np.arange(len(sizes)), sizes)
    hits = 0
    for _ in range(runs):
        if kind == "lognormal":
            values, truth = rng.lognormal(0.0, 1.0, units), math.exp(0.5)
        elif labels is None:
            values, truth = rng.binomial(5, rng.beta(2.0, 1.0, units)) / 5, 2 / 3
        else:
            values, truth = (rng.random(labels.size) < rng.random(units)[labels]) * 1.0, 0.5
        ends = stats.mean_ci(
            values, clusters=labels, scale="amount" if kind == "lognormal" else "share"
        )
        hits += ends is None or ends[0] <= truth <= ends[1]
    return hits / runs


@pytest.mark.parametrize(
    ("units", "kind", "sizes"),
    [
        (6, "shares", None),
        (30, "shares", None),
        (300, "shares", None),
        (30, "lognormal", None),
        (100, "lognormal", None),
        (12, "clusters", [4] * 12),
        (12, "clusters", [40] + [2] * 11),
        (30, "clusters", list(range(1, 31))),
    ],
)
def test_intervals_cover_95_percent(units: int, kind: str, sizes: list[int] | None) -> None:
    """Shares, skewed amounts, equal and unequal clusters: 93 % less three binomial errors."""
    slack = 3.0 * math.sqrt(0.95 * 0.05 / 1000)
    assert _held(units, kind, 1000, sizes) >= 0.93 - slack
