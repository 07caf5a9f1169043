"""Quantiles: binomial tables, few trials, what repeats of a prompt are worth, differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.analysis import stats

Side = tuple[np.ndarray, np.ndarray]  # values of trials, and the prompt of each


def _alone(values: list[float] | np.ndarray, share: float, level: float = 0.95) -> stats.Quantile:
    """A quantile of values that are independent."""
    array = np.asarray(values, np.float64)
    return stats.quantiles(array, np.arange(array.size), array.size, [share], level=level)[0]


def test_a_p95_needs_72_values() -> None:
    """Two-sided from 72 values on; one-sided (level .90 two-sided) from 59; a p99 from 368."""
    assert [_alone(np.arange(n), 0.95).high for n in (71, 72)] == [None, 71]
    assert [_alone(np.arange(n), 0.95, 0.90).high for n in (58, 59)] == [None, 58]
    assert [_alone(np.arange(n), 0.99).high for n in (367, 368)] == [None, 367]
    assert stats.quantiles(np.zeros(0), np.zeros(0, int), 1, [0.5]) == []


def test_median_interval_matches_the_binomial_table() -> None:
    """The median of 10 values lies between the 2nd and 9th (Conover, table A3) at 97.9 %."""
    assert _alone(np.arange(1, 11), 0.5).ends == (2.0, 9.0)


def test_repeats_that_equal_their_prompt_are_worth_one() -> None:
    """Eight prompts × ten equal repeats bound a median as eight values do, and no p95."""
    values = np.repeat(np.arange(1.0, 9.0), 10)
    units = np.repeat(np.arange(8), 10)
    median, tail = stats.quantiles(values, units, 8, [0.5, 0.95])
    assert median.effective_n == pytest.approx(8.0)
    assert median.ends == _alone(np.arange(1.0, 9.0), 0.5).ends
    assert tail.high is None


def test_repeats_that_do_not_depend_on_their_prompt_count_almost_in_full() -> None:
    """300 independent values in 30 groups: an effective number near 300."""
    values = np.random.default_rng(1).lognormal(0.0, 0.5, 300)
    found = stats.quantiles(values, np.repeat(np.arange(30), 10), 30, [0.5])[0]
    assert 150 < found.effective_n <= 300


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.9, 0.95]),
)
def test_quantiles_are_numpys_and_lie_in_their_interval(
    rows: list[tuple[int, int]], share: float
) -> None:
    """The value is numpy's; ends are values seen on its two sides; trials count at most once."""
    units, values = (np.array(column) for column in zip(*rows, strict=True))
    found = stats.quantiles(values.astype(np.float64), units, 10, [share])[0]
    assert found.value == pytest.approx(float(np.quantile(values, share)))
    assert found.low is None or (found.low <= found.value and found.low in values)
    assert found.high is None or (found.high >= found.value and found.high in values)
    assert 0.0 < found.effective_n <= len(rows) + 1e-9


@pytest.mark.parametrize(("between", "within"), [(0.8, 0.1), (0.5, 0.5), (0.0, 0.5)])
def test_percentiles_cover_whatever_prompts_decide(between: float, within: float) -> None:
    """Prompts decide all, half or nothing of the latency: 95 % less three errors, or no end."""
    rng = np.random.default_rng(5)
    units = np.repeat(np.arange(30), 5)
    truth = [math.exp(z * math.hypot(between, within)) for z in (0.0, 1.6448536)]
    hits = np.zeros(2)
    for _ in range(300):
        levels = rng.normal(0.0, between, 30)[units] if between else 0.0
        values = np.exp(levels + rng.normal(0.0, within, units.size))
        for i, found in enumerate(stats.quantiles(values, units, 30, [0.5, 0.95])):
            low = -math.inf if found.low is None else found.low
            hits[i] += low <= truth[i] <= (math.inf if found.high is None else found.high)
    assert (hits / 300 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)).all()


def _trials(seed: int, prompts: int, repeats: int) -> list[Side]:
    """Two sides of skewed trials that share what is slow or fast about a prompt."""
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(prompts), repeats)
    shared = rng.normal(0, 0.5, prompts)[prompt]
    return [(np.exp(shared + rng.normal(shift, 0.5, prompt.size)), prompt) for shift in (0.1, 0)]


def _differences(a: Side, b: Side) -> list[tuple[float, float, tuple[float, float] | None]]:
    """Median and p95 of both sides, and the intervals of their differences."""
    count = int(max(a[1].max(), b[1].max())) + 1
    top, base = (stats.quantiles(*side, count, (0.5, 0.95)) for side in (a, b))
    return [
        (one.value, other.value, stats.quantile_difference(one, other))
        for one, other in zip(top, base, strict=True)
    ]


def test_percentile_differences_match_the_paired_bootstrap() -> None:
    """Median and p95 differences have the interval that resampling whole prompts gives."""
    a, b = _trials(0, 200, 3)
    found = _differences(a, b)
    rng = np.random.default_rng(1)
    tables = [side[0].reshape(200, 3) for side in (a, b)]
    draws = rng.integers(0, 200, (2000, 200))
    for (top, base, ends), share in zip(found, (0.5, 0.95), strict=True):
        assert (top, base) == tuple(float(np.quantile(side[0], share)) for side in (a, b))
        assert ends is not None
        resampled = np.array(
            [np.subtract(*(np.quantile(t[draw], share) for t in tables)) for draw in draws]
        )
        width = float(np.diff(np.quantile(resampled, [0.025, 0.975]))[0])
        assert ends[1] - ends[0] == pytest.approx(width, rel=0.45)
        assert ends[0] <= top - base <= ends[1]


def test_percentile_differences_cover() -> None:
    """The intervals hold the true difference at least 95 % of the time (± 3 MC)."""
    truth = {0: np.exp(0.1) - 1, 1: np.exp(1.644854 * np.sqrt(0.5)) * (np.exp(0.1) - 1)}
    hits = np.zeros(2)
    for seed in range(400):
        for i, (_, _, ends) in enumerate(_differences(*_trials(seed, 100, 3))):
            assert ends is not None
            hits[i] += ends[0] <= truth[i] <= ends[1]
    assert (hits / 400 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)).all()


def test_a_p95_difference_needs_what_a_p95_needs() -> None:
    """Below 72 trials a side no upper bound exists, so the interval is null; the median has one."""
    for trials, known in ((71, False), (72, True)):
        (a, b) = _trials(3, trials, 1)
        median, tail = _differences(a, b)
        assert median[2] is not None
        assert (tail[2] is not None) is known
