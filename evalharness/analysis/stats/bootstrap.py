"""The bias-corrected and accelerated bootstrap interval (BCa) of a mean over prompts.

Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 14. The unit that is
resampled is the prompt, or the whole cluster of prompts.

Three ways to the same interval; the data decide which one is taken:

* from 500 units with a mild skew, the analytic form of BCa (ABC: DiCiccio and Efron, Biometrika
  79 (1992) 231-245; chapter 22 of the book). It needs no draws and no seed, and is closer to BCa
  with infinitely many draws than 9,999 draws are;
* few distinct values (scores of a few repeats): how often each value is drawn is multinomial, so
  one number per distinct value replaces one per prompt;
* otherwise units are drawn. How often each unit is in each resample depends only on the number of
  units and the seed; up to 200 units these counts are drawn once and cached, beyond that units are
  drawn block by block so that memory stays bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.distribution_functions import normal_cdf, normal_quantile

Floats = NDArray[np.float64]

DRAWS = 9_999
MIN_DRAWS = 1_999
_BLOCK = 2_000_000  # numbers drawn at a time: 16 MB
_BUDGET = 100_000_000  # numbers drawn in all before fewer resamples are made
_ANALYTIC_FROM = 500  # units
_MILD = 0.04  # largest acceleration (a sixth of the mean's skewness) for the analytic form
_FEW_DISTINCT = 64
_CACHED_UP_TO = 200  # units: 9,999 × 200 counts of 8 bytes are 16 MB a table
_CACHED_TABLES = 4  # at most 64 MB


def bca_mean(values: Floats, *, level: float, seed: int) -> tuple[float, float] | None:
    """BCa interval of the mean of ``values`` (no NaN, at least two, not all equal).

    None where the interval is undefined (every resample has the same mean).
    """
    n = values.size
    mean = float(values.mean())
    acceleration = _acceleration(values - mean)
    if acceleration is None:
        return None
    if n >= _ANALYTIC_FROM and abs(acceleration) <= _MILD:
        return abc_ratio(values, np.ones(n), acceleration, level)
    return bca_interval(_resampled_means(values, seed), mean, acceleration, level)


def bca_ratio(
    sums: Floats, sizes: Floats, *, level: float, seed: int
) -> tuple[float, float] | None:
    """BCa interval of ``sum(sums) / sum(sizes)`` when whole clusters are resampled.

    Args:
        sums: the sum of the values in each cluster.
        sizes: how many values each cluster holds, all positive.
        level: e.g. 0.95.
        seed: of the resampling.

    """
    total, count = float(sums.sum()), float(sizes.sum())
    jackknife = (total - sums) / (count - sizes)
    acceleration = _acceleration(jackknife.mean() - jackknife)
    if acceleration is None:
        return None
    if sums.size >= _ANALYTIC_FROM and abs(acceleration) <= _MILD:
        return abc_ratio(sums, sizes, acceleration, level)
    rng = np.random.default_rng(seed)
    resampled = np.concatenate(
        [sums[draw].sum(axis=1) / sizes[draw].sum(axis=1) for draw in _draws(sums.size, rng)]
    )
    return bca_interval(resampled, total / count, acceleration, level)


def abc_ratio(
    sums: Floats, sizes: Floats, acceleration: float, level: float
) -> tuple[float, float]:
    """Analytic BCa interval of ``sum(sums) / sum(sizes)``; algorithm 22.3 of the book.

    With ``sizes`` all one it is the interval of a mean.
    """
    n, size, top = sums.size, float(sizes.mean()), float(sums.mean())
    influence = (sums - top / size * sizes) / size
    sigma = math.sqrt(float(np.sum(influence**2))) / n
    bias = -float(np.sum(influence * (sizes - size))) / size / n**2
    # The least favourable direction: reweighting the units along it moves the estimate most.
    direction = influence / (n**2 * sigma)
    d_top, d_size = float(direction @ sums), float(direction @ sizes)

    def estimate(step: float) -> float:
        return (top + step * d_top) / (size + step * d_size)

    step = 0.01
    curvature = (estimate(step) - 2.0 * estimate(0.0) + estimate(-step)) / (2.0 * sigma * step**2)
    z0 = normal_quantile(
        2.0 * normal_cdf(acceleration) * normal_cdf(curvature - bias / sigma),
    )
    ends: list[float] = []
    for p in ((1.0 - level) / 2.0, (1.0 + level) / 2.0):
        w = z0 + normal_quantile(p)
        ends.append(estimate(w / (1.0 - acceleration * w) ** 2))
    return ends[0], ends[1]


def bca_interval(
    resampled: Floats, estimate: float, acceleration: float, level: float
) -> tuple[float, float] | None:
    """Turn resampled statistics into the BCa interval; None when they do not vary."""
    # Resamples that tie with the estimate count half (lattice data have many), and rounding must
    # not decide a tie.
    tie = 1e-12 * max(1.0, abs(estimate))
    below = float(np.mean(resampled < estimate - tie))
    ties = float(np.mean(np.abs(resampled - estimate) <= tie))
    share = below + ties / 2.0
    if not 0.0 < share < 1.0 or float(np.ptp(resampled)) <= tie:
        return None
    lo, hi = _levels(normal_quantile(share), acceleration, level)
    ends = np.quantile(resampled, [lo, hi])
    return float(ends[0]), float(ends[1])


def _levels(bias: float, acceleration: float, level: float) -> tuple[float, float]:
    """The levels of the bootstrap distribution at the two ends (equation 14.10 of the book)."""
    ends: list[float] = []
    for p in ((1.0 - level) / 2.0, (1.0 + level) / 2.0):
        z = bias + normal_quantile(p)
        ends.append(normal_cdf(bias + z / (1.0 - acceleration * z)))
    return ends[0], ends[1]


def _acceleration(influence: Floats) -> float | None:
    """``sum u^3 / (6 (sum u^2)^1.5)`` (equation 14.15); None without any spread."""
    squares = influence * influence
    spread = float(np.sum(squares))
    # A power of 3 would be taken by logarithms, which is 50 times as slow as multiplying.
    return None if spread <= 0.0 else float(np.sum(squares * influence)) / (6.0 * spread**1.5)


def _resampled_means(values: Floats, seed: int) -> Floats:
    """Means of resamples of ``values``, 9,999 of them (fewer for very many values)."""
    rng = np.random.default_rng(seed)
    # Sorted, so that the interval does not depend on the order of the prompts.
    distinct, counts = np.unique(values, return_counts=True)
    if distinct.size <= min(_FEW_DISTINCT, values.size // 2):
        drawn = rng.multinomial(values.size, counts / values.size, size=DRAWS)
        return drawn @ distinct / values.size
    ordered = np.sort(values)
    if values.size <= _CACHED_UP_TO:
        return _counts(values.size, seed) @ ordered / values.size
    return np.concatenate([ordered[draw].mean(axis=1) for draw in _draws(values.size, rng)])


@lru_cache(maxsize=_CACHED_TABLES)
def _counts(n: int, seed: int) -> Floats:
    """How often each of ``n`` units is in each of 9,999 resamples: one row a resample."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1.0 / n), size=DRAWS)
    counts = drawn.astype(np.float64)
    counts.flags.writeable = False
    return counts


def _draws(n: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Index draws of ``n`` units with replacement, in blocks of rows of bounded size."""
    left = max(MIN_DRAWS, min(DRAWS, _BUDGET // n))
    while left:
        rows = min(left, max(1, _BLOCK // n))
        left -= rows
        yield rng.integers(0, n, size=(rows, n))
