"""How many prompts and repeats a comparison needs to detect a difference, from its variances."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.analysis.stats.distribution_functions import normal_quantile

Floats = NDArray[np.float64]


#: Fewer prompts can never give p < .05 in a two-sided sign-flip test (2 / 2^5 = .0625).
MIN_PROMPTS = 6


class VarianceComponents(msgspec.Struct, frozen=True, kw_only=True):
    """The components of the variance of a paired comparison.

    Attributes:
        omega2: variance between prompts of the true paired difference.
        within_a: variance between repeats of one prompt, compared setting.
        within_b: the same, baseline.
        prompts: how many prompts the estimate is made from; None when it is assumed.

    """

    omega2: float
    within_a: float
    within_b: float
    prompts: int | None = None


# Medians of nine models at T=0 against T=1 in Renze's published answers (arXiv 2402.05201).
TYPICAL_COMPONENTS = VarianceComponents(omega2=0.084, within_a=0.012, within_b=0.069)


def variance_components(a: ArrayLike, b: ArrayLike) -> VarianceComponents | None:
    """Estimate the components from a pilot: two prompts × repeats arrays, rows joined.

    Within-prompt variance is the mean of the unbiased variances of each prompt's repeats
    (``K p (1-p) / (K-1)`` for pass/fail); ``omega2 = var(d) - mean(s_a²/K_a) - mean(s_b²/K_b)``,
    not below 0. NaN marks an unusable repeat. None when fewer than two prompts have two usable
    repeats on both sides.
    """
    top, bottom = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    usable = (np.isfinite(top).sum(axis=1) >= 2) & (np.isfinite(bottom).sum(axis=1) >= 2)
    if int(usable.sum()) < 2:
        return None
    sides = [_within(table[usable]) for table in (top, bottom)]
    difference = sides[0][0] - sides[1][0]
    noise = sum(float(np.mean(variance / count)) for _, variance, count in sides)
    return VarianceComponents(
        omega2=max(0.0, float(np.var(difference, ddof=1)) - noise),
        within_a=float(sides[0][1].mean()),
        within_b=float(sides[1][1].mean()),
        prompts=int(usable.sum()),
    )


def minimum_detectable(
    components: VarianceComponents,
    prompts: int,
    repeats: int,
    *,
    level: float = 0.95,
    power: float = 0.8,
) -> float:
    """Return the smallest true mean difference found with the given power.

    ``(z_{.975} + z_{.80}) sqrt((omega² + s_a²/K + s_b²/K) / Q)``; Miller, arXiv 2411.00640.
    """
    variance = components.omega2 + (components.within_a + components.within_b) / repeats
    return detectable(math.sqrt(variance / prompts), level=level, power=power)


def detectable(standard_error: float, *, level: float = 0.95, power: float = 0.8) -> float:
    """Return the difference found with the given power when its standard error is known."""
    z = normal_quantile((1.0 + level) / 2.0) + normal_quantile(power)
    return z * standard_error


def prompts_needed(
    components: VarianceComponents,
    difference: float,
    repeats: int,
    *,
    level: float = 0.95,
    power: float = 0.8,
) -> int:
    """Return how many prompts are needed to detect ``difference`` with ``repeats`` on each side.

    Never fewer than :data:`MIN_PROMPTS`.
    """
    variance = components.omega2 + (components.within_a + components.within_b) / repeats
    z = normal_quantile((1.0 + level) / 2.0) + normal_quantile(power)
    return max(MIN_PROMPTS, math.ceil(z * z * variance / difference**2 - 1e-9))


def _within(table: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, unbiased variance and count of the usable repeats of each prompt."""
    count = np.isfinite(table).sum(axis=1).astype(np.float64)
    mean = np.nansum(table, axis=1) / count
    squares = np.nansum((table - mean[:, None]) ** 2, axis=1)
    return mean, squares / (count - 1.0), count
