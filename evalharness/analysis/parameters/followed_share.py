"""How many requests follow their seed: an estimate with its interval.

A provider may honour a seed in a share *s* of the requests: one replica of two behind a balancer,
say. Two outputs with one seed are equal for sure where both requests followed it, which has the
chance s²; otherwise they agree like outputs with different seeds, with the chance c of their
prompt. So the agreement of one seed is s² + (1 - s²) c, and

    s² = (same - different) / (1 - different),

the chance-corrected agreement (Cohen, Educ. Psychol. Meas. 20, 1960) with that of different seeds
as what chance gives. Numerator and denominator are summed over prompts before they are divided:
prompts whose outputs hardly vary say little, and a quotient of their own would be arbitrary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.parameters.effect import FollowedShare
from evalharness.analysis.stats.distribution_functions import normal_quantile, t_quantile

LEAST_SHOWN = 0.01  # low end where the test excludes 0 and the interval does not
_TAIL = 0.975
_STEPS = 40  # bisections of an end: 10^-12


class SeedAgreement(NamedTuple):
    """Agreement by prompt, of prompts that have pairs of both kinds.

    Attributes:
        same, different: share of equal pairs with one seed, and with different seeds.
        pairs: how many pairs with one seed there are.
        overlaps: how many ordered pairs of these pairs have an output in common.

    """

    same: Floats
    different: Floats
    pairs: Floats
    overlaps: Floats


def followed_share(
    agreement: SeedAgreement, *, p: float | None, clusters: NDArray[Any] | None = None
) -> FollowedShare | None:
    """Estimate the share of requests that follow their seed.

    The interval holds every share s that a test at 5 % does not reject. For s above 0 it is a score
    test of the mean over prompts of e = (same - different) - s² (1 - different), which is 0 at the
    true s (Fieller's way to the interval of a ratio: J. R. Stat. Soc. B 16, 1954). Its variance is
    taken from the spread of e over prompts (clusters), with Student's t, but never below what s
    itself implies for so many pairs, with the normal quantile (as Wilson's interval does: JASA 22,
    1927), because few prompts that all agree show no spread. For s = 0 it is the test that gave p.
    Coverage: ``python -m benchmarks.calibration_verdicts``.

    Args:
        agreement: of the prompts that are compared, at least one.
        p: of "the seed changes nothing", one-sided; None where unknown.
        clusters: one label a prompt, None for independent prompts.

    Returns:
        None where the outputs never differ, whatever their seeds.

    """
    gain, headroom = agreement.same - agreement.different, 1.0 - agreement.different
    if float(headroom.mean()) <= 1e-9:
        return None
    squared = min(1.0, max(0.0, float(gain.sum() / headroom.sum())))
    share = math.sqrt(squared)
    units = gain.size if clusters is None else int(np.unique(clusters).size)
    if units < 2:
        return FollowedShare(share=share, ci95=None, n=gain.size)
    keeps = _score_test(agreement, gain, headroom, clusters, units)
    low, high = 0.0, math.sqrt(_end(keeps, squared, 1.0))
    if p is not None and p < 0.05:
        low = max(math.sqrt(_end(keeps, squared, 0.0)), min(LEAST_SHOWN, high))
    return FollowedShare(share=max(share, low), ci95=[low, high], n=gain.size)


def _score_test(
    agreement: SeedAgreement,
    gain: Floats,
    headroom: Floats,
    clusters: NDArray[Any] | None,
    units: int,
) -> Callable[[float], bool]:
    """Whether s² is not rejected, as a function of it."""
    n = gain.size
    t, z = t_quantile(_TAIL, units - 1), normal_quantile(_TAIL)
    codes = None if clusters is None else np.unique(clusters, return_inverse=True)[1]
    # Less agreement than with different seeds is chance: it counts as none.
    mean_gain, mean_headroom = max(0.0, float(gain.mean())), float(headroom.mean())

    def keeps(squared: float) -> bool:
        e = gain - squared * headroom
        e -= e.mean()
        sums = e if codes is None else np.bincount(codes, e)
        seen = math.sqrt(units / (units - 1) * float(sums @ sums)) / n
        # Whole clusters are the unit: n prompts count as so many.
        implied = math.sqrt(float(_implied_variance(agreement, squared).sum()) / n / units)
        half = max(t * seen, z * implied)
        return abs(mean_gain - squared * mean_headroom) <= half + 1e-12

    return keeps


def _implied_variance(agreement: SeedAgreement, squared: float) -> Floats:
    """Variance of each prompt's same-seed agreement where a share √squared follows the seed.

    Two pairs of one seed with an output in common are dependent: both are equal where all three
    outputs are, with a chance of at most s³ + 3 s² (1 - s) c + (rest) c^1.5. Other dependence is
    left out.
    """
    s, c = math.sqrt(squared), agreement.different
    equal = squared + (1.0 - squared) * c
    all_three, two = s**3, 3.0 * squared * (1.0 - s)
    three = all_three + two * c + (1.0 - all_three - two) * c**1.5
    covariance = np.maximum(0.0, three - equal * equal)
    return (
        agreement.pairs * equal * (1.0 - equal) + agreement.overlaps * covariance
    ) / agreement.pairs**2


def _end(keeps: Callable[[float], bool], inside: float, limit: float) -> float:
    """The value farthest from ``inside``, towards ``limit``, that is not rejected."""
    if keeps(limit):
        return limit
    for _ in range(_STEPS):
        middle = (inside + limit) / 2.0
        if keeps(middle):
            inside = middle
        else:
            limit = middle
    return inside
