"""Sign flips and their intervals: textbook values, enumeration, coverage, one event with p."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.analysis import stats
from evalharness.analysis.stats import sign_flips, sign_patterns, unit_differences


def test_equal_columns_are_flipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal columns one is tried; p and interval are the same."""
    column = np.random.default_rng(0).normal(size=200)
    tried: list[int] = []
    test = sign_flips._tests_of

    def counted(columns: Any, *rest: Any) -> Any:
        tried.append(len(columns))
        return test(columns, *rest)

    monkeypatch.setattr(sign_flips, "_tests_of", counted)
    flips = stats.SignFlips()
    for values in (column, column + 2.0, column, column + 0.1):
        flips.add(values, bounded=False)
    found = flips.tests()
    assert tried == [3]
    assert found.p[0] == found.p[2] == stats.sign_flip(column)[0]
    assert found.interval(0) == found.interval(2)
    assert found.p[1] == 1e-4


@pytest.mark.parametrize("blas", ["1", "2"])
def test_sign_flips_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch, blas: str) -> None:
    """Whoever shares the products, and in whatever blocks: the same patterns, the same p."""
    column = np.random.default_rng(1).normal(0.01, 1.0, size=400)
    expected = stats.difference_test(column)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", blas)
    monkeypatch.setattr(sign_patterns, "_SIGNS_MULTIPLIED", 7_001)
    found = stats.difference_test(column)
    assert found.p.tolist() == expected.p.tolist()
    assert found.interval(0) == expected.interval(0)


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


_differences = st.lists(st.integers(-8, 8), min_size=1, max_size=18).map(
    lambda counts: np.array(counts) / 8.0
)


@given(_differences, st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_p_and_interval_are_one_event(values: np.ndarray, bounded: bool, clustered: bool) -> None:
    """p < .05 exactly where the interval leaves 0 out; it holds the mean, and no more than exists."""
    clusters = np.arange(values.size) // 2 if clustered else None
    found = stats.difference_test(values, clusters=clusters, bounded=bounded, draws=999)
    ends = found.interval(0)
    assert found.p[0] == stats.sign_flip(values, clusters=clusters, draws=999)[0]
    if ends is not None:
        assert ends[0] - 1e-9 <= values.mean() <= ends[1] + 1e-9
        assert (found.p[0] < 0.05) == (not ends[0] <= 0.0 <= ends[1])
        assert not bounded or (ends[0] >= -1.0 and ends[1] <= 1.0)


def test_the_ends_are_those_of_all_patterns() -> None:
    """By brute force: a pattern keeps what lies between the means of what it adds and subtracts."""
    values = np.array([0.9, 0.1, 0.4, 1.7, 0.2, 0.3, 0.8, -0.2, 0.5])
    lows, highs = [], []
    for signs in itertools.product([False, True], repeat=values.size):
        plus = np.array(signs)
        means = [values[part].mean() for part in (plus, ~plus) if part.any()]
        lows.append(min(means) if len(means) == 2 else -np.inf)
        highs.append(max(means) if len(means) == 2 else np.inf)
    kept = math.ceil(0.05 * len(lows))  # an end is where fewer than 5 % of the patterns are left
    expected = np.sort(lows)[kept - 1], np.sort(highs)[-kept]
    assert stats.difference_test(values, bounded=False).interval(0) == pytest.approx(expected)


@pytest.mark.parametrize("units", [520, 900])
def test_many_units_need_no_patterns(units: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The normal form gives the p and the interval that 9,999 patterns give, within their noise."""
    column = np.random.default_rng(units).exponential(size=units) - 0.95
    normal = stats.difference_test(column, bounded=False)
    monkeypatch.setattr(unit_differences, "NORMAL_FROM", 10_000)
    drawn = stats.difference_test(column, bounded=False)
    assert normal.p[0] == pytest.approx(drawn.p[0], abs=0.02)
    error = column.std() / math.sqrt(units)
    assert normal.interval(0) == pytest.approx(drawn.interval(0), abs=0.1 * error)


def test_equal_differences_and_few_prompts() -> None:
    """Equal values show no spread but at 0, 1 and -1; below six prompts nothing can be rejected."""
    bound = stats.wilson(0, 40)
    assert bound is not None
    assert stats.difference_test(np.zeros(40)).interval(0) == (-bound[1], bound[1])
    assert stats.difference_test(np.ones(40)).interval(0) == (1.0 - bound[1], 1.0)
    assert stats.difference_test(-np.ones(40)).interval(0) == (-1.0, bound[1] - 1.0)
    assert stats.difference_test(np.zeros(40), bounded=False).interval(0) is None
    assert stats.difference_test(np.full(40, 0.5)).interval(0) is None
    assert stats.difference_test(np.array([0.1, 0.2, 0.4, 0.0, 0.3])).interval(0) is None
    assert stats.difference_test(np.array([np.nan])).interval(0) is None


def test_another_test_decides_where_it_is_given() -> None:
    """McNemar's mid-p of 5 against 0 is .03, the flips' p .06: the interval follows the former."""
    column = np.zeros(30)
    column[:5] = 1.0
    flips = stats.SignFlips()
    given_p, own = flips.add(column, p=stats.mcnemar_mid_p(5, 0)), flips.add(column)
    found = flips.tests()
    assert found.p.tolist() == [0.03125, 0.0625]
    assert found.low[given_p] > 0.0
    assert found.low[own] < 0.0  # no prompt went down, and as many may as Wilson leaves unseen
    assert found.high[given_p] == found.high[own]


@pytest.mark.parametrize("units", [6, 10, 30])
def test_skewed_differences_are_covered(units: int) -> None:
    """Differences of two equal lognormal sides: 95 % less three standard errors."""
    rng = np.random.default_rng(units)
    runs = 400
    flips = stats.SignFlips(draws=999)
    for _ in range(runs):
        a, b = rng.lognormal(0.0, 1.0, (2, units))
        flips.add(a - b, bounded=False)
    found = flips.tests()
    held = int(((found.low <= 0.0) & (found.high >= 0.0)).sum())
    assert held >= runs * 0.95 - 3 * (runs * 0.95 * 0.05) ** 0.5


def test_one_large_cluster_is_covered() -> None:
    """A cluster of 40 prompts among eleven of two: the interval of the difference holds 95 %."""
    rng = np.random.default_rng(7)
    labels = np.repeat(np.arange(12), [40] + [2] * 11)
    runs, held = 300, 0
    for _ in range(runs):
        column = rng.normal(0.0, 0.2, 12)[labels] + rng.normal(0.0, 0.1, labels.size)
        ends = stats.difference_test(column, clusters=labels, bounded=False).interval(0)
        assert ends is not None
        held += ends[0] <= 0.0 <= ends[1]
    assert held >= runs * 0.95 - 3 * (runs * 0.95 * 0.05) ** 0.5
