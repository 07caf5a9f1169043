"""Confidence intervals; None means that the interval is undefined for these data.

The statistical unit is the prompt: every function here expects one value a prompt (repeats already
averaged), and ``clusters`` where prompts belong together.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.analysis.stats.bootstrap import bca_mean, bca_ratio
from evalharness.analysis.stats.distribution_functions import (
    binomial_cdf,
    normal_quantile,
    t_quantile,
)

Floats = NDArray[np.float64]
Interval = tuple[float, float]
Scale = Literal["share", "difference", "real"]

LEVEL = 0.95
SMALL = 20  # below this many prompts (or clusters) Student's t replaces the bootstrap


def wilson(successes: int, n: int, level: float = LEVEL) -> Interval | None:
    """Wilson's score interval of a proportion; None when ``n`` is 0.

    Source: E. B. Wilson, JASA 22 (1927) 209-212.
    """
    if n <= 0:
        return None
    z = normal_quantile((1.0 + level) / 2.0)
    p = successes / n
    centre = p + z * z / (2.0 * n)
    half = z * math.sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n))
    scale = 1.0 + z * z / n
    # At 0 and n the formula is exact up to rounding; give 0 and 1.
    lo = 0.0 if successes == 0 else (centre - half) / scale
    hi = 1.0 if successes == n else (centre + half) / scale
    return lo, hi


def mean_ci(
    values: ArrayLike,
    *,
    clusters: NDArray[Any] | None = None,
    scale: Scale = "share",
    seed: int = 0,
    level: float = LEVEL,
) -> Interval | None:
    """95 % interval of the mean over prompts.

    * every value 0, or every value 1: Wilson over the prompts (``scale="share"``);
    * below 20 prompts (clusters, when given): Student's t, on :func:`standard_error`;
    * otherwise BCa over prompts (whole clusters).

    Args:
        values: one value a prompt; NaN is an unknown value and is dropped.
        clusters: one label a prompt (same length), None for independent prompts.
        scale: ``share`` for values in [0, 1]; ``difference`` for paired differences of shares,
            in [-1, 1]; ``real`` for anything else (seconds, tokens, dollars).
        seed: of the resampling: the same seed gives the same bits.
        level: the confidence level.

    Returns:
        ``(low, high)``, or None when undefined: no values, one value, or values that are all
        equal and show no spread. Where differences of shares are all 0 the interval
        is ``(-u, u)`` with u the Wilson bound on the share of prompts that differ; where all are 1
        (or -1) it is what Wilson leaves on that side.

    """
    data, labels = _drop_unknown(values, clusters)
    if data.size == 0:
        return None
    groups = None if labels is None else _cluster_sums(data, labels)
    n = data.size if groups is None else groups[0].size
    if _constant(data):
        return _constant_ci(float(np.median(data)), n, scale, level)
    if n < 2:
        return None
    if groups is not None and _constant(groups[0] / groups[1]):
        return None  # all clusters have the same mean: values vary only within clusters
    if n < SMALL:
        return _t_ci(data, labels, level)
    if groups is None:
        return bca_mean(data, level=level, seed=seed)
    return bca_ratio(*groups, level=level, seed=seed)


def ratio_ci(
    sums: Floats,
    sizes: Floats,
    *,
    lowest: float,
    highest: float,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval | None:
    """:func:`mean_ci` of any numbers in clusters, from the sum and the size of each cluster.

    Args:
        sums: the sum of the values of each cluster.
        sizes: how many values it has, at least one.
        lowest: the lowest of all values.
        highest: the highest.
        seed: of the resampling.
        level: the confidence level.
    """
    units = sums.size
    if units < 2 or _constant(np.array([lowest, highest])) or _constant(sums / sizes):
        return None
    if units >= SMALL:
        return bca_ratio(sums, sizes, level=level, seed=seed)
    count = float(sizes.sum())
    mean = float(sums.sum()) / count
    error = _clustered_error(sums, sizes, mean, count)
    half = t_quantile((1.0 + level) / 2.0, units - 1) * error
    return (mean - half, mean + half) if error > 0.0 else None


def percentile_ci(
    values: ArrayLike, q: float, *, level: float = LEVEL
) -> tuple[float | None, float | None] | None:
    """Distribution-free interval of the ``q``-th percentile (0-100) from order statistics.

    The rank of the percentile is binomial; see Conover, *Practical Nonparametric Statistics*,
    3rd ed., §3.2. An end is None when the sample is too small to bound that side at half the
    error: a p95 has an upper end from 72 values (from 59 if only the upper end were wanted). NaN
    is dropped; None when nothing is left. Values are taken as independent.
    """
    data = np.sort(_finite(values))
    n = data.size
    if n == 0:
        return None
    share, tail = q / 100.0, (1.0 - level) / 2.0
    lower = _largest_rank(n, share, tail)
    upper = n - _largest_rank(n, 1.0 - share, tail) + 1
    lo = float(data[lower - 1]) if lower >= 1 else None
    hi = float(data[upper - 1]) if upper <= n else None
    return lo, hi


def geometric_mean_ratio(
    a: ArrayLike,
    b: ArrayLike,
    *,
    clusters: NDArray[Any] | None = None,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, Interval | None, int] | None:
    """Geometric mean over prompts of ``a / b``, its interval and the number of prompts used.

    For positive quantities that differ by factors: seconds, tokens, dollars. Prompts where either
    side is unknown or not positive are left out; None when none is left.
    """
    top, bottom = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    usable = (top > 0) & (bottom > 0) & np.isfinite(top) & np.isfinite(bottom)
    if not usable.any():
        return None
    logs = np.log(top[usable]) - np.log(bottom[usable])
    labels = None if clusters is None else np.asarray(clusters)[usable]
    ci = mean_ci(logs, clusters=labels, scale="real", seed=seed, level=level)
    ends = None if ci is None else (math.exp(ci[0]), math.exp(ci[1]))
    return math.exp(float(logs.mean())), ends, int(usable.sum())


def divergence_bound(pairs: int, level: float = LEVEL) -> float | None:
    """Largest divergence rate still compatible with 0 divergences in ``pairs`` (one-sided).

    ``1 - (1 - level)^(1/n)``, the exact form of the rule of three (Hanley and Lippman-Hand,
    JAMA 249, 1983). None when nothing was compared.
    """
    if pairs <= 0:
        return None
    return 1.0 - (1.0 - level) ** (1.0 / pairs)


def standard_error(
    values: ArrayLike, clusters: NDArray[Any] | None = None
) -> tuple[float, float, int] | None:
    """Mean over prompts, its standard error and the degrees of freedom.

    With clusters the cluster-robust CR1 error, ``G/(G-1) * sum_g (sum of residuals in g)^2 / n^2``,
    and G-1 degrees of freedom (Cameron and Miller, J. Hum. Resour. 50, 2015). None below two units
    or without any spread.
    """
    data, labels = _drop_unknown(values, clusters)
    if data.size < 2 or _constant(data):
        return None
    mean = float(data.mean())
    if labels is None:
        return mean, float(data.std(ddof=1)) / math.sqrt(data.size), data.size - 1
    sums, sizes = _cluster_sums(data, labels)
    units = sums.size
    if units < 2:
        return None
    error = _clustered_error(sums, sizes, mean, data.size)
    return None if error <= 0.0 else (mean, error, units - 1)


def _clustered_error(sums: Floats, sizes: Floats, mean: float, count: float) -> float:
    units = sums.size
    scatter = float(np.sum((sums - sizes * mean) ** 2))
    return math.sqrt(units / (units - 1) * scatter) / count


def max_standard_error(
    values: ArrayLike, clusters: NDArray[Any] | None = None, level: float = LEVEL
) -> float | None:
    """Largest standard error still plausible for differences of shares that are all equal.

    All n differences equal c. Then at most a share u of all prompts (or clusters) has another
    difference, where u is the upper Wilson bound of 0 in n. A difference lies in [-1, 1], so it is
    at most 1 + |c| away from c. The variance is thus at most u (1 + |c|)², and the error its root
    over √n. None without values, and where :func:`standard_error` is defined.
    """
    data, labels = _drop_unknown(values, clusters)
    if data.size == 0 or standard_error(data, labels) is not None:
        return None
    n = data.size if labels is None else np.unique(labels).size
    bounds = wilson(0, n, level)
    assert bounds is not None
    return (1.0 + abs(float(data.mean()))) * math.sqrt(bounds[1] / n)


def _drop_unknown(values: ArrayLike, clusters: NDArray[Any] | None) -> tuple[Floats, Any]:
    """Values without NaN, and the labels that go with them."""
    data = np.asarray(values, dtype=np.float64).ravel()
    keep = np.isfinite(data)
    return data[keep], None if clusters is None else np.asarray(clusters)[keep]


def _finite(values: ArrayLike) -> Floats:
    return _drop_unknown(values, None)[0]


def _constant(data: Floats) -> bool:
    """All equal, up to the rounding of a mean of repeats."""
    return bool(np.ptp(data) <= 1e-12 * max(1.0, float(np.abs(data).max())))


def _cluster_sums(data: Floats, labels: NDArray[Any]) -> tuple[Floats, Floats]:
    """Sum and size of each cluster, in the order of the sorted labels."""
    if labels.dtype.kind != "i" or labels.min() < 0 or labels.max() > 4 * len(labels):
        labels = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(labels)
    sums = np.bincount(labels, weights=data).astype(np.float64)
    used = sizes > 0  # there may be gaps between labels
    return sums[used], sizes[used].astype(np.float64)


def _constant_ci(value: float, n: int, scale: Scale, level: float) -> Interval | None:
    if scale == "real":
        return None
    bounds = wilson(0, n, level)
    assert bounds is not None
    unseen = bounds[1]
    value = round(value, 12)
    if value == 0.0:
        return (0.0, unseen) if scale == "share" else (-unseen, unseen)
    if value == 1.0:
        return 1.0 - unseen, 1.0
    if value == -1.0 and scale == "difference":
        return -1.0, -1.0 + unseen
    return None


def _t_ci(data: Floats, labels: NDArray[Any] | None, level: float) -> Interval | None:
    spread = standard_error(data, labels)
    if spread is None:
        return None
    mean, error, df = spread
    half = t_quantile((1.0 + level) / 2.0, df) * error
    return mean - half, mean + half


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
