"""Quantiles over trials with intervals that count what is independent, not trials.

The interval of a quantile is read off the ordered values at the ranks of the binomial (Conover,
*Practical Nonparametric Statistics*, 3rd ed., §3.2), as of the effective number of trials
``N / (1 + r (sum of n² / N - 1))`` (Kish 1965), n the trials of a prompt (or cluster) and r their
correlation as to "at most the quantile". r is the larger of two estimates: from these
indicators themselves, which few prompts leave noisy in a tail, and from the correlation of all
ranks, as if values were jointly normal but for their scale (so at the median r is 2/π arcsin ρ).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.distribution_functions import (
    binomial_cdf,
    normal_quantile,
    normal_quantiles,
    owens_t,
)
from evalharness.analysis.stats.intervals import LEVEL

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ends = tuple[float, float]


class Quantile(NamedTuple):
    """A quantile of one side.

    Attributes:
        value: the quantile, interpolated linearly.
        low, high: its 95 % interval; None where the values leave that end unbounded.
        effective_n: number of independent trials that would leave it as uncertain.
        residuals: one a unit, summed over its trials: whether it lies below, less the share.
    """

    value: float
    low: float | None
    high: float | None
    effective_n: float
    residuals: Floats

    @property
    def ends(self) -> Ends | None:
        """The interval; None where an end is unbounded."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def quantiles(
    values: Floats, units: Ints, count: int, shares: Sequence[float], *, level: float = LEVEL
) -> list[Quantile]:
    """Quantiles of trials that belong to prompts (or clusters), for each share.

    An end is unbounded where even the outermost value is likely to lie within it: a p95 has an
    upper end from 72 effective trials on.

    Args:
        values: of the trials, without NaN.
        units: the number of the prompt (or cluster) of each trial, from 0.
        count: how many units there are.
        shares: which quantiles, in (0, 1).
        level: the confidence level.

    Returns:
        Nothing when there are no trials.

    """
    if not values.size:
        return []
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    sizes = np.bincount(units, minlength=count).astype(np.float64)
    rank_correlation = _rank_correlation(ordered, units[order], sizes)
    result: list[Quantile] = []
    for share in shares:
        value = quantile_of(ordered, share)
        below = (values <= value).astype(np.float64)
        correlation = max(
            _indicator_correlation(rank_correlation, share), _correlation(below, units, sizes)
        )
        effective = effective_trials(sizes, correlation)
        low, high = _rank_ends(ordered, share, effective, level)
        residuals = np.bincount(units, below - share, minlength=count).astype(np.float64)
        result.append(Quantile(value, low, high, effective, residuals))
    return result


def effective_trials(sizes: Floats, correlation: float) -> float:
    """How many independent trials tell as much as units of some sizes, correlated within."""
    trials = float(sizes.sum())
    return trials / (1.0 + correlation * (float(sizes @ sizes) / trials - 1.0))


def quantile_of(ordered: Floats, share: float) -> float:
    """The figure of ``numpy.quantile``, which would sort the sorted values again."""
    position = (ordered.size - 1) * share
    below = min(int(position), ordered.size - 1)
    low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    part = position - below
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1.0 - part)


def _rank_correlation(ordered: Floats, units: Ints, sizes: Floats) -> float:
    """The correlation within units of the normal scores of ranks; ties share their mean rank."""
    n = ordered.size
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    tied = np.diff(np.r_[first, n])
    ranks = np.repeat(first + (tied + 1) / 2.0, tied)
    return _correlation(normal_quantiles((ranks - 0.375) / (n + 0.25)), units, sizes)


def _correlation(values: Floats, units: Ints, sizes: Floats) -> float:
    """The intraclass correlation by analysis of variance (Donner, Int. Stat. Rev. 54, 1986).

    Within 0 and 1; 1 where there are no repeats to tell, 0 where nothing varies.
    """
    present = sizes > 0
    groups, n = int(np.count_nonzero(present)), values.size
    if n <= groups or groups < 2:
        return 1.0
    sums = np.bincount(units, values, minlength=sizes.size)
    grand = float(values.mean())
    between = float((sums[present] ** 2 / sizes[present]).sum()) - n * grand**2
    within = float(((values - grand) ** 2).sum()) - between
    between_mean, within_mean = between / (groups - 1), max(0.0, within) / (n - groups)
    size = (n - float(sizes @ sizes) / n) / (groups - 1)
    total = between_mean + (size - 1.0) * within_mean
    return min(1.0, max(0.0, (between_mean - within_mean) / total)) if total > 1e-300 else 0.0


def _indicator_correlation(correlation: float, share: float) -> float:
    """The correlation of "below the quantile" of two jointly normal values (Owen's T)."""
    if correlation >= 1.0:
        return 1.0
    slope = math.sqrt((1.0 - correlation) / (1.0 + correlation))
    both = share - 2.0 * owens_t(normal_quantile(share), slope)
    return (both - share**2) / (share * (1.0 - share))


def _rank_ends(
    ordered: Floats, share: float, effective: float, level: float
) -> tuple[float | None, float | None]:
    trials, n, tail = ordered.size, max(1, int(effective + 1e-9)), (1.0 - level) / 2.0
    lower = _largest_rank(n, share, tail)
    upper = n - _largest_rank(n, 1.0 - share, tail) + 1
    # A rank among n is a stretch of the ranks among all trials: the outer end of it is taken.
    low = float(ordered[int((lower - 1) * trials / n)]) if lower >= 1 else None
    high = None
    if upper <= n:
        high = float(ordered[min(trials, math.ceil(upper * trials / n - 1e-9)) - 1])
    return low, high


def _largest_rank(n: int, share: float, tail: float) -> int:
    """Largest r with P(X <= r - 1) <= tail for X ~ Binomial(n, share); 0 when there is none."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        if binomial_cdf(middle - 1, n, share) <= tail:
            low = middle
        else:
            high = middle - 1
    return low


def quantile_difference(a: Quantile, b: Quantile) -> Ends | None:
    """The interval of a minus b, paired by unit; None where a side has none.

    Their intervals are combined with their correlation over units (Zou and Donner, Stat. Med. 27,
    2008), which keeps the skew of a tail.

    Args:
        a: of the compared side.
        b: of the baseline, over the same units.

    """
    if a.ends is None or b.ends is None:
        return None
    spread = math.sqrt(float(a.residuals @ a.residuals) * float(b.residuals @ b.residuals))
    correlation = float(a.residuals @ b.residuals) / spread if spread > 0.0 else 0.0
    difference = a.value - b.value

    def combine(first: float, second: float) -> float:
        squares = first * first + second * second
        return math.sqrt(max(0.0, squares - 2.0 * correlation * first * second))

    low = difference - combine(a.value - a.ends[0], b.ends[1] - b.value)
    high = difference + combine(a.ends[1] - a.value, b.value - b.ends[0])
    return low, high
