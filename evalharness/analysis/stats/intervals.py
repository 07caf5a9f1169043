"""Confidence intervals of single figures; None means that the interval is undefined for the data.

The statistical unit is the prompt: every function here expects one value a prompt (repeats already
averaged), and ``clusters`` where prompts belong together. Intervals of paired differences are in
:mod:`.sign_flips`, since they come from the test.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.analysis.stats.cluster_robust import (
    MeanEstimate,
    effective_units,
    estimate_mean,
    unit_sums,
)
from evalharness.analysis.stats.distribution_functions import (
    chi2_quantile,
    normal_quantile,
    t_quantile,
)

Floats = NDArray[np.float64]
Interval = tuple[float, float]
Scale = Literal["share", "amount"]

LEVEL = 0.95
#: Below this many units no level is promised for the mean of a skewed amount.
ENOUGH_FOR_AMOUNTS = 10
_NEAR_BOUND = 0.1  # of a share


def wilson(
    successes: float, n: float, level: float = LEVEL, df: float | None = None
) -> Interval | None:
    """Wilson's score interval of a proportion; None when ``n`` is 0.

    Source: E. B. Wilson, JASA 22 (1927) 209-212.

    Args:
        successes: how many of ``n``; effective numbers need not be whole.
        n: trials, or the effective number of them.
        level: the confidence level.
        df: degrees of freedom where the effective number was estimated; None where it is known.
    """
    if n <= 0:
        return None
    tail = (1.0 + level) / 2.0
    z = normal_quantile(tail) if df is None else t_quantile(tail, df)
    p = successes / n
    centre = p + z * z / (2.0 * n)
    half = z * math.sqrt(max(0.0, p * (1.0 - p)) / n + z * z / (4.0 * n * n))
    scale = 1.0 + z * z / n
    # At 0 and n the formula is exact up to rounding; give 0 and 1.
    lo = 0.0 if successes == 0 else (centre - half) / scale
    hi = 1.0 if successes == n else (centre + half) / scale
    return lo, hi


def deviation_ci(deviation: float, count: int, level: float = LEVEL) -> Interval | None:
    """Interval of the standard deviation of ``count`` normal values; None without any spread.

    Source: ``(count - 1) s² / σ²`` is chi-square distributed (Cochran's theorem).

    Args:
        deviation: their sample standard deviation, with ``count - 1``.
        count: at least two.
        level: the confidence level.
    """
    if count < 2 or deviation <= 0.0:
        return None
    df, tail = count - 1, (1.0 - level) / 2.0
    ends = (math.sqrt(df / chi2_quantile(p, df)) for p in (1.0 - tail, tail))
    low, high = (deviation * factor for factor in ends)
    return low, high


def mean_ci(
    values: ArrayLike,
    *,
    clusters: NDArray[Any] | None = None,
    scale: Scale = "share",
    level: float = LEVEL,
) -> Interval | None:
    """95 % interval of the mean over prompts of a single setting; see :func:`ratio_ci`.

    Args:
        values: one value a prompt; NaN is an unknown value and is dropped.
        clusters: one label a prompt (same length), None for independent prompts.
        scale: ``share`` for values in [0, 1], ``amount`` for seconds, tokens and dollars.
        level: the confidence level.

    Returns:
        ``(low, high)``, or None when undefined: no values, one value, or values that are all equal
        and show no spread (shares that are all 0 or all 1 have an interval).

    """
    data, labels = drop_unknown(values, clusters)
    if data.size == 0:
        return None
    return ratio_ci(*unit_sums(data, labels), scale=scale, level=level)


def ratio_ci(sums: Floats, sizes: Floats, *, scale: Scale, level: float = LEVEL) -> Interval | None:
    """95 % interval of ``sum(sums) / sum(sizes)`` over independent units.

    * shares: Wilson on the effective sample size ``p (1 - p) / error²`` with Student's t at the
      error's degrees of freedom (Dean and Pagano, J. Surv. Stat. Methodol. 3, 2015); where all are
      0 or all 1, on :func:`.effective_units`;
    * amounts: Student's t with Hall's correction for skewness (J. R. Statist. Soc. B 54, 1992).

    Args:
        sums: the sum of the values of each unit (prompt or cluster).
        sizes: how many values it has, at least one.
        scale: as of :func:`mean_ci`.
        level: the confidence level.
    """
    estimate = estimate_mean(sums, sizes)
    if scale == "share":
        return _share_ci(estimate, sums, sizes, level)
    if estimate is None or is_constant(sums / sizes):
        return None
    return _amount_ci(estimate, level)


def _share_ci(
    estimate: MeanEstimate | None, sums: Floats, sizes: Floats, level: float
) -> Interval | None:
    mean = round(float(sums.sum() / sizes.sum()), 12)
    if mean in (0.0, 1.0):
        n = effective_units(sizes)
        return wilson(mean * n, n, level)
    if estimate is None or is_constant(sums / sizes):
        return None
    variance, spread = estimate.error**2, mean * (1.0 - mean)
    if variance <= 0.0 or spread <= 0.0:  # too small for a float
        return None
    n = spread / variance
    if sums.size < float(sizes.sum()) and not _NEAR_BOUND <= mean <= 1.0 - _NEAR_BOUND:
        # Clusters that are nearly all at a bound are worth no more than their prompts.
        n = min(n, float(sizes.sum()))
    ends = wilson(mean * n, n, level, estimate.df)
    assert ends is not None
    return _with_unseen(ends, estimate, sums / sizes, sizes, n, level)


def _with_unseen(
    ends: Interval,
    estimate: MeanEstimate,
    values: Floats,
    sizes: Floats,
    n: float,
    level: float,
) -> Interval:
    """The interval of shares near 0 or 1 that few units keep from being exactly that.

    Where most units are at the bound, the error is that of the few others, and has about as many
    degrees of freedom as these are of all. At most the end moves to where it would be if as many
    units had the other value as Wilson leaves unseen. Nothing changes where each unit is 0 or 1,
    which is what Wilson's interval is of.
    """
    bound = 1.0 if estimate.mean > 0.5 else 0.0
    inner = (values > 1e-12) & (values < 1.0 - 1e-12)
    if not inner.any():
        return ends
    off = float(np.mean(np.abs(values - bound) > 1e-12))
    wider = wilson(estimate.mean * n, n, level, max(1.0, estimate.df * off))
    unseen = wilson(0, effective_units(sizes), level)
    assert wider is not None
    assert unseen is not None
    if bound:
        return max(wider[0], min(ends[0], estimate.mean * (1.0 - unseen[1]))), ends[1]
    most = 1.0 - (1.0 - estimate.mean) * (1.0 - unseen[1])
    return ends[0], min(wider[1], max(ends[1], most))


def _amount_ci(estimate: MeanEstimate, level: float) -> Interval:
    """Student's t, each end moved by what the skewness does to the t statistic.

    Hall's cubic transform ``g(T) = T + a T² + a² T³ / 3 + a / (2 n)``, a a third of the skewness,
    T the deviation in standard deviations of a unit, is solved for T at the quantiles of t. Sample
    skewness is too small on average where tails are long: it is enlarged by
    ``1 + sqrt(10 / n) / 2``, which brings lognormal amounts (s = 1) to 93 % at ten units
    (``python -m benchmarks.calibration``).
    """
    n = estimate.units
    third = estimate.skewness * (1.0 + 0.5 * math.sqrt(10.0 / n)) / 3.0
    quantile = t_quantile((1.0 + level) / 2.0, estimate.df)

    def ends_at(t: float) -> float:
        deviation = t / math.sqrt(n)
        if abs(third) > 1e-9:
            cube = 1.0 + 3.0 * third * (deviation - third / (2.0 * n))
            deviation = (math.cbrt(cube) - 1.0) / third
        return estimate.mean - estimate.error * math.sqrt(n) * deviation

    return ends_at(quantile), ends_at(-quantile)


def divergence_bound(pairs: float, level: float = LEVEL) -> float | None:
    """Largest divergence rate still compatible with 0 divergences in ``pairs`` (one-sided).

    ``1 - (1 - level)^(1/n)``, the exact form of the rule of three (Hanley and Lippman-Hand,
    JAMA 249, 1983). None when nothing was compared.
    """
    if pairs <= 0:
        return None
    return 1.0 - (1.0 - level) ** (1.0 / pairs)


def standard_error(values: ArrayLike, clusters: NDArray[Any] | None = None) -> MeanEstimate | None:
    """Mean over prompts, its standard error and degrees of freedom.

    None below two units or without any spread; NaN is dropped.
    """
    data, labels = drop_unknown(values, clusters)
    if data.size < 2 or is_constant(data):
        return None
    estimate = estimate_mean(*unit_sums(data, labels))
    return None if estimate is None or estimate.error <= 0.0 else estimate


def drop_unknown(values: ArrayLike, clusters: NDArray[Any] | None) -> tuple[Floats, Any]:
    """Values without NaN, and the labels that go with them."""
    data = np.asarray(values, dtype=np.float64).ravel()
    keep = np.isfinite(data)
    return data[keep], None if clusters is None else np.asarray(clusters)[keep]


def is_constant(data: Floats) -> bool:
    """All equal, up to the rounding of a mean of repeats."""
    return bool(np.ptp(data) <= 1e-12 * max(1.0, float(np.abs(data).max())))
