"""Power: what is said to be found with 80 % chance is, by the very test."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalharness.analysis import stats


def _within_errors(found: float, runs: int) -> bool:
    """78 to 85 %, plus and minus three binomial errors."""
    slack = 3.0 * math.sqrt(0.8 * 0.2 / runs)
    return 0.78 - slack <= found <= 0.85 + slack


@pytest.mark.parametrize("prompts", [6, 7, 8, 10, 12, 30])
def test_flips_find_what_they_are_said_to_find(prompts: int) -> None:
    """Normal differences whose mean is the detectable one are found in 80 % of runs."""
    mde = stats.detectable(1.0 / math.sqrt(prompts), prompts, prompts - 1)
    assert mde is not None
    runs = 600
    table = np.random.default_rng(prompts).normal(mde, 1.0, (prompts, runs))
    found = float(np.mean(stats.sign_flip(table, draws=999) < 0.05))
    assert _within_errors(found, runs)


def test_fewer_than_six_units_find_nothing() -> None:
    """No p below .05 is possible with five."""
    assert stats.detectable(0.1, 5, 4) is None
    assert stats.minimum_detectable(stats.TYPICAL_COMPONENTS, 5, 3) is None


@pytest.mark.parametrize(("prompts", "base"), [(30, 0.5), (60, 0.9), (100, 0.97), (400, 0.95)])
def test_mcnemar_finds_what_it_is_said_to_find(prompts: int, base: float) -> None:
    """One pass or fail a side, near 1 included: a worse setting brings its own variance."""
    discordant = 2.0 * base * (1.0 - base)
    growth, most = stats.pass_rate_growth(base, base)
    mde = stats.mcnemar_detectable(discordant, prompts, growth, most)
    assert mde is not None
    rng, runs = np.random.default_rng(prompts), 1500
    a = rng.random((prompts, runs)) < base - mde
    b = rng.random((prompts, runs)) < base
    up, down = (a & ~b).sum(axis=0), (b & ~a).sum(axis=0)
    p = [stats.mcnemar_mid_p(int(u), int(d)) for u, d in zip(up, down, strict=True)]
    assert _within_errors(float(np.mean(np.array(p) < 0.05)), runs)


def test_mcnemar_power_is_that_of_all_tables() -> None:
    """By brute force over the tables of eight prompts."""
    ups, downs = 0.5, 0.1
    total = 0.0
    for up in range(9):
        for down in range(9 - up):
            ways = math.factorial(8) / (
                math.factorial(up) * math.factorial(down) * math.factorial(8 - up - down)
            )
            chance = ways * ups**up * downs**down * (1 - ups - downs) ** (8 - up - down)
            total += chance * (stats.mcnemar_mid_p(up, down) < 0.05)
    assert stats.mcnemar_power(ups + downs, ups - downs, 8) == pytest.approx(total, abs=1e-6)


def test_a_difference_that_scores_cannot_have_is_found_by_no_number_of_prompts() -> None:
    """Side b passes 97 %: no setting can be 98 points worse, so no plan is made for it."""
    near_one = stats.VarianceComponents(
        omega2=0.0, within_a=0.03, within_b=0.03, mean_a=0.97, mean_b=0.97, pass_fail=True
    )
    assert stats.prompts_needed(near_one, 0.98, 3) is None
    few = stats.prompts_needed(near_one, 0.10, 3)
    assert few is not None
    assert few >= 6
