"""Whether the repeats of one prompt score differently before and after, beyond their own spread."""

from __future__ import annotations

from functools import cache
from math import comb, isfinite, sqrt

from evalharness.analysis.stats.distribution_functions import t_cdf


@cache
def pass_change_p(before: int, n_before: int, after: int, n_after: int) -> float:
    """Fisher's exact test, two-sided, of ``before`` of ``n_before`` passes against ``after``."""
    total, passes = n_before + n_after, before + after
    ways = [  # whole numbers, which may exceed any float
        comb(n_before, x) * comb(n_after, passes - x)
        for x in range(max(0, passes - n_after), min(passes, n_before) + 1)
    ]
    seen = comb(n_before, before) * comb(n_after, after)
    return min(1.0, sum(w for w in ways if w <= seen) / comb(total, passes))


def mean_change_p(
    difference: float, variances: tuple[float, float], repeats: tuple[int, int]
) -> float | None:
    """Welch's test of two means, two-sided; null without two repeats a side or without spread."""
    if min(repeats) < 2:
        return None
    parts = [v / n for v, n in zip(variances, repeats, strict=True)]
    error = sqrt(sum(parts))
    if error < 1e-12 or not isfinite(error):
        return None
    df = sum(parts) ** 2 / sum(p**2 / (n - 1) for p, n in zip(parts, repeats, strict=True))
    return min(1.0, 2.0 * t_cdf(-abs(difference) / error, df))
