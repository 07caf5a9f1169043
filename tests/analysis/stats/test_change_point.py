"""Changes of a series of runs: found, placed, and not found where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.analysis import stats
from evalharness.analysis.stats.change_point import change_test


def nights(prompts: int, runs: int, drop: float = 0.0, since: int = 99) -> np.ndarray:
    rng = np.random.default_rng(4)
    rates = np.repeat(rng.beta(4, 1, prompts)[:, None], runs, axis=1)
    rates[:, since:] -= drop
    return rng.binomial(3, np.clip(rates, 0, 1)) / 3


def test_a_change_is_found_where_it_happened() -> None:
    tested = change_test(nights(60, 20, drop=0.25, since=14))
    assert tested is not None
    assert tested.p < 0.01
    assert tested.first == 14


def test_a_quiet_series_has_no_change() -> None:
    tested = change_test(nights(60, 20))
    assert tested is not None
    assert tested.p > stats.ALPHA


def test_noise_that_all_prompts_of_a_run_share_is_no_change() -> None:
    """Prompts alone would call any slow night a change."""
    rng = np.random.default_rng(7)
    values = rng.normal(0, 0.2, 20)[None, :] + rng.normal(0, 0.01, (500, 20))
    tested = change_test(values)
    assert tested is not None
    assert tested.p > stats.ALPHA


def test_a_single_failure_of_the_last_run_is_no_change() -> None:
    """Runs alone would call it one: all others are equal."""
    values = np.ones((60, 20))
    values[3, -1] = 0.0
    tested = change_test(values)
    assert tested is not None
    assert tested.p > stats.ALPHA


def test_prompts_that_come_and_go_are_no_change() -> None:
    values = np.full((80, 20), np.nan)
    rng = np.random.default_rng(2)
    values[:40, :10] = rng.binomial(3, 0.9, (40, 10)) / 3
    values[40:, 10:] = rng.binomial(3, 0.1, (40, 10)) / 3
    tested = change_test(values)
    assert tested is not None
    assert tested.p > stats.ALPHA


def test_prompts_of_a_cluster_count_once() -> None:
    values = np.repeat(nights(2, 20, drop=0.6, since=12), 30, axis=0)
    alone = change_test(values)
    together = change_test(values, np.repeat([0, 1], 30))
    assert alone is not None
    assert together is not None
    assert (alone.units, together.units) == (60, 2)
    assert together.p >= alone.p


def test_one_slow_run_at_the_end_is_no_change_by_rank_and_four_are() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 0.05, (40, 30)) + rng.normal(0, 0.02, 30)
    one, four = values.copy(), values.copy()
    one[:, -1] += 1
    four[:, -4:] += 1
    assert change_test(one, by_rank=True).p > stats.ALPHA  # pyright: ignore[reportOptionalMemberAccess]
    assert change_test(four, by_rank=True).p < stats.ALPHA  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize("shape", [(60, 4), (1, 20), (0, 20)])
def test_too_little_says_nothing(shape: tuple[int, int]) -> None:
    assert change_test(np.random.default_rng(0).normal(size=shape)) is None


def test_equal_values_have_no_change() -> None:
    tested = change_test(np.full((10, 8), 0.1))
    assert tested is not None
    assert tested.p == 1.0
