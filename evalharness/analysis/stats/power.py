"""The difference that the tests of this package find with a given chance.

Each is of the very test that is used: sign flips of few prompts are coarser than Student's t, and
McNemar's mid-p of few prompts takes steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.cluster_robust import MeanEstimate
from evalharness.analysis.stats.distribution_functions import (
    binomial_probabilities,
    noncentral_t_cdf,
    normal_cdf,
    normal_quantile,
    t_quantile,
)
from evalharness.analysis.stats.intervals import LEVEL, wilson
from evalharness.analysis.stats.paired import mcnemar_mid_p
from evalharness.analysis.stats.sign_flips import MIN_UNITS

Floats = NDArray[np.float64]

POWER = 0.8
# Differences found with 80 % chance by sign flips at .05, in standard errors, for so many normal
# differences (python -m benchmarks.calibration measures what comes of them). With more of them
# Student's t needs the same to within 1 %.
_FLIP_FACTORS = {6: 4.40, 7: 3.51, 8: 3.36, 9: 3.26, 10: 3.18}
# Degrees of freedom: from here on the normal form (Miller, arXiv 2411.00640) has 79 % power.
_NORMAL_FROM = 99
_EXACT_BELOW = 300  # prompts: from here on McNemar's test is as powerful as a normal one
_MOST_ERRORS = 40.0  # no number of units needs a larger difference
_MOST_GROWTH = 30.0  # times the difference without growth: beyond, none is called detectable
_STEPS = 60  # of bisection: to 1e-18 of a share


def detectable(
    standard_error: float, units: int, df: float, *, level: float = LEVEL, power: float = POWER
) -> float | None:
    """Return the mean difference that sign flips find with some chance.

    Args:
        standard_error: of the mean difference.
        units: prompts or clusters.
        df: degrees of freedom of the error, ``units - 1`` for equal units.
        level: one less the level of the test.
        power: the chance.

    Returns:
        None with too few units for any difference to be found.

    """
    factor = _factor(units, round(df, 3), level, power)
    return None if factor is None else factor * standard_error


@lru_cache(maxsize=1024)
def _factor(units: int, df: float, level: float, power: float) -> float | None:
    if units < MIN_UNITS:
        return None
    usual = (level, power) == (LEVEL, POWER)
    if usual and df >= units - 1.001 and units in _FLIP_FACTORS:
        return _FLIP_FACTORS[units]
    if df >= _NORMAL_FROM:
        return normal_quantile((1.0 + level) / 2.0) + normal_quantile(power)
    critical = t_quantile((1.0 + level) / 2.0, df)

    def chance(shift: float) -> float:
        below = noncentral_t_cdf(-critical, df, shift)
        return 1.0 - noncentral_t_cdf(critical, df, shift) + below

    factor = _smallest(chance, power, _MOST_ERRORS)
    few = _FLIP_FACTORS.get(units)
    return factor if few is None or factor is None else max(factor, few)


def bound_standard_error(mean: float, units: float) -> float:
    """Largest standard error still plausible for differences of shares that are all equal.

    Of n units at most a share u has another difference than ``mean``, u the upper Wilson bound of 0
    in n. A difference lies in [-1, 1], so it is at most ``1 + |mean|`` away: the variance is at
    most u times its square, and the error the root of that over √n.
    """
    bounds = wilson(0, units)
    assert bounds is not None
    return (1.0 + abs(mean)) * math.sqrt(bounds[1] / units)


def growing_detectable(
    at_variance: Callable[[float], float | None], growth: Callable[[float], float], most: float
) -> float | None:
    """The difference found with 80 % chance where the variance grows with the difference.

    Args:
        at_variance: the detectable difference when the variance is multiplied by this much.
        growth: by what the variance is multiplied at a difference.
        most: the largest difference there can be; infinite for amounts.

    Returns:
        None where not even the largest one is found.

    """
    if math.isinf(most):
        least = at_variance(1.0)
        if least is None:
            return None
        most = _MOST_GROWTH * least

    def found(difference: float) -> float:
        needed = at_variance(growth(difference))
        return 0.0 if needed is None or needed > difference else 1.0

    return _smallest(found, 1.0, most)


def no_growth(_: float) -> float:
    """The growth of a variance that does not depend on the difference."""
    return 1.0


def pass_rate_growth(mean_a: float, mean_b: float) -> tuple[Callable[[float], float], float]:
    """By what the variance of pass/fail differences grows with the difference, and its largest.

    Near 0 and 1 a difference brings its own variance: a rate p varies as ``p (1 - p)``, and where
    all pass, a worse setting is one where some fail. Side b stays at its rate, side a moves towards
    one half, and the correlation of the sides stays.
    """
    base = mean_b * (1.0 - mean_b)
    now = mean_a * (1.0 - mean_a) + base
    sign = -1.0 if mean_b > 0.5 else 1.0
    most = mean_b if sign < 0 else 1.0 - mean_b

    def growth(difference: float) -> float:
        moved = mean_b + sign * difference
        later = max(0.0, moved * (1.0 - moved)) + base
        return later / now if now > 0.0 else 1.0

    return growth, most


def detectable_mean(
    estimate: MeanEstimate, sums: Floats, growth: Callable[[float], float], most: float
) -> float | None:
    """The mean difference that sign flips find with 80 % chance, from the differences of a run.

    Only units that differ can change sign: where few do, the test is as coarse as that of so few.
    Their number grows with the difference as the variance does, up to all.

    Args:
        estimate: of the mean difference.
        sums: of the differences of each unit.
        growth: by what the variance grows with the difference.
        most: the largest difference there can be.
    """
    units = sums.size
    differing = int(np.count_nonzero(np.abs(sums) > 1e-12))

    def at(times: float) -> float | None:
        number = min(units, round(differing * max(1.0, times)))
        df = estimate.df * number / units if number < units else estimate.df
        return detectable(math.sqrt(times) * estimate.error, number, df)

    return growing_detectable(at, growth, most)


def factor_growth(a: Floats, b: Floats) -> Callable[[float], float]:
    """By what the variance of differences grows where side a is side b by a factor.

    A mean that is larger by g is larger by the factor ``f = 1 + g / mean(b)``, and the variance of
    the differences is then ``f² var(a) + var(b) - 2 f cov(a, b)``, both sides as spread as now.
    """
    covariances = np.cov(a, b) if a.size > 1 else np.zeros((2, 2))
    spread_a, spread_b, both = (float(covariances[k]) for k in ((0, 0), (1, 1), (0, 1)))
    now, level = spread_a + spread_b - 2.0 * both, float(np.mean(b))
    if now <= 0.0 or level <= 0.0:
        return no_growth

    def growth(difference: float) -> float:
        factor = 1.0 + difference / level
        return max(1.0, (factor * factor * spread_a + spread_b - 2.0 * factor * both) / now)

    return growth


def mcnemar_detectable(
    discordant: float, prompts: int, growth: Callable[[float], float], most: float
) -> float | None:
    """The difference in a pass rate that McNemar's mid-p finds with 80 % chance.

    Args:
        discordant: share of prompts that only one side passes, where the sides are alike.
        prompts: how many.
        growth: by what the variance grows with the difference, as :func:`pass_rate_growth` says.
        most: the largest difference there can be.

    Returns:
        None where not even the largest difference is found.

    """

    def chance(difference: float) -> float:
        variance = max(discordant * growth(difference), difference * (1.0 - difference))
        return mcnemar_power(min(1.0, variance + difference**2), difference, prompts)

    return _smallest(chance, POWER, most)


def mcnemar_power(discordant: float, difference: float, prompts: int) -> float:
    """The chance that McNemar's mid-p is below .05.

    Args:
        discordant: share of prompts that only one side passes, at least the difference.
        difference: of the pass rates.
        prompts: how many.
    """
    if discordant <= 0.0:
        return 0.0
    if prompts >= _EXACT_BELOW:
        shift = difference / math.sqrt(max(1e-12, discordant - difference**2) / prompts)
        critical = t_quantile((1.0 + LEVEL) / 2.0, prompts - 1)
        return normal_cdf(shift - critical) + normal_cdf(-shift - critical)
    numbers = np.arange(prompts + 1)
    likely = binomial_probabilities(numbers, prompts, discordant)
    ups = (discordant + difference) / (2.0 * discordant)
    total = 0.0
    for n in np.flatnonzero(likely > 1e-9).tolist():
        worst = _largest_rejected(n)
        if worst >= 0:
            tail = numbers[: worst + 1]
            down = binomial_probabilities(tail, n, 1.0 - ups)
            up = binomial_probabilities(tail, n, ups)
            total += float(likely[n]) * float(down.sum() + up.sum())
    return total


@lru_cache(maxsize=2 * _EXACT_BELOW)
def _largest_rejected(n: int) -> int:
    """The largest smaller count of n discordant prompts with a mid-p below .05; -1 if none."""
    low = -1
    while low + 1 <= n // 2 and mcnemar_mid_p(low + 1, n - low - 1) < 1.0 - LEVEL:
        low += 1
    return low


def _smallest(chance: Callable[[float], float], power: float, most: float) -> float | None:
    """The smallest argument up to ``most`` whose chance reaches ``power``; None if none does."""
    if chance(most) < power:
        return None
    low, high = 0.0, most
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if chance(middle) >= power:
            high = middle
        else:
            low = middle
        if high - low <= 1e-6 * high:
            break
    return high
