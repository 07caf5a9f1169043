"""How many prompts and repeats a comparison needs to detect a difference, from its variances."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.analysis.stats.cluster_robust import (
    effective_units,
    estimate_mean,
    unit_sums,
)
from evalharness.analysis.stats.power import (
    detectable,
    growing_detectable,
    mcnemar_detectable,
    no_growth,
    pass_rate_growth,
)
from evalharness.analysis.stats.sign_flips import MIN_UNITS

Floats = NDArray[np.float64]


#: Fewer prompts can never give p < .05 in a two-sided sign-flip test (2 / 2^5 = .0625).
MIN_PROMPTS = MIN_UNITS
#: No plan asks for more.
MOST_PROMPTS = 100_000_000


class VarianceComponents(msgspec.Struct, frozen=True, kw_only=True):
    """The components of the variance of a paired comparison.

    Attributes:
        omega2: variance between prompts of the true paired difference.
        within_a: variance between repeats of one prompt, compared setting.
        within_b: the same, baseline.
        prompts: how many prompts the estimate is made from; None when it is assumed.
        mean_a, mean_b: mean of each side; None when it is assumed.
        pass_fail: whether every score is 0 or 1.
        differing: share of prompts whose difference was not 0, at ``repeats`` repeats.
        repeats: of a prompt in the pilot, on average.
        inflation: by what clusters increase the variance of a mean difference.
        prompts_per_cluster: how many prompts an effective cluster holds.

    """

    omega2: float
    within_a: float
    within_b: float
    prompts: int | None = None
    mean_a: float | None = None
    mean_b: float | None = None
    pass_fail: bool = False
    differing: float = 1.0
    repeats: float = 1.0
    inflation: float = 1.0
    prompts_per_cluster: float = 1.0

    def variance(self, repeats: int) -> float:
        """Of a prompt's difference with so many repeats a side (Miller, arXiv 2411.00640)."""
        plain = self.omega2 + (self.within_a + self.within_b) / repeats
        return self.inflation * plain

    def differing_at(self, repeats: int) -> float:
        """The share of prompts that differ with so many repeats, each of which may."""
        return 1.0 - (1.0 - self.differing) ** (repeats / self.repeats)

    def growth(self) -> tuple[Callable[[float], float], float]:
        """By what the variance grows with the difference, and the largest difference."""
        if not self.pass_fail or self.mean_a is None or self.mean_b is None:
            return no_growth, 1.0
        return pass_rate_growth(self.mean_a, self.mean_b)


# Medians of nine models at T=0 against T=1 in Renze's published answers (arXiv 2402.05201).
TYPICAL_COMPONENTS = VarianceComponents(omega2=0.084, within_a=0.012, within_b=0.069)


def variance_components(
    a: ArrayLike, b: ArrayLike, clusters: NDArray[Any] | None = None
) -> VarianceComponents | None:
    """Estimate the components from a pilot: two prompts × repeats arrays, rows joined.

    Within-prompt variance is the mean of the unbiased variances of each prompt's repeats
    (``K p (1-p) / (K-1)`` for pass/fail); ``omega2 = var(d) - mean(s_a²/K_a) - mean(s_b²/K_b)``,
    not below 0. NaN marks an unusable repeat; ``clusters`` has one label a prompt where prompts
    name a cluster. None when fewer than two prompts have two usable
    repeats on both sides.
    """
    top, bottom = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    usable = (np.isfinite(top).sum(axis=1) >= 2) & (np.isfinite(bottom).sum(axis=1) >= 2)
    if int(usable.sum()) < 2:
        return None
    sides = [_within(table[usable]) for table in (top, bottom)]
    difference = sides[0][0] - sides[1][0]
    scored = np.concatenate([top[usable].ravel(), bottom[usable].ravel()])
    labels = None if clusters is None else np.asarray(clusters)[usable]
    inflation, per_cluster = _cluster_effect(difference, labels)
    noise = sum(float(np.mean(variance / count)) for _, variance, count in sides)
    return VarianceComponents(
        omega2=max(0.0, float(np.var(difference, ddof=1)) - noise),
        within_a=float(sides[0][1].mean()),
        within_b=float(sides[1][1].mean()),
        prompts=int(usable.sum()),
        mean_a=float(sides[0][0].mean()),
        mean_b=float(sides[1][0].mean()),
        differing=float(np.mean(np.abs(difference) > 1e-12)),
        repeats=float(min(sides[0][2].mean(), sides[1][2].mean())),
        inflation=inflation,
        prompts_per_cluster=per_cluster,
        pass_fail=bool(np.isin(scored[np.isfinite(scored)], (0.0, 1.0)).all()),
    )


def minimum_detectable(components: VarianceComponents, prompts: int, repeats: int) -> float | None:
    """Return the smallest true mean difference found with 80 % chance at .05.

    The variance of a prompt's difference is ``omega² + (s_a² + s_b²) / K`` (Miller, arXiv
    2411.00640), grown with the difference where scores are pass/fail; the factor is that of the
    test (:mod:`.power`). None where no difference is found.
    """
    variance = components.variance(repeats)
    growth, most = components.growth()
    units = int(prompts / components.prompts_per_cluster)
    if components.pass_fail and repeats == 1 and components.prompts_per_cluster == 1.0:
        return mcnemar_detectable(variance, prompts, growth, most)
    differing = components.differing_at(repeats) * units

    def at(times: float) -> float | None:
        number = min(units, round(differing * max(1.0, times)))
        return detectable(math.sqrt(times * variance / prompts), number, number - 1)

    return growing_detectable(at, growth, most)


def prompts_needed(components: VarianceComponents, difference: float, repeats: int) -> int | None:
    """Return how many prompts are needed to detect ``difference`` with ``repeats`` on each side.

    The fewest that find it with 80 % chance at .05; None where :data:`MOST_PROMPTS` do not, or
    where scores cannot differ by so much.
    """
    if difference > components.growth()[1] + 1e-9:
        return None

    def enough(prompts: int) -> bool:
        smallest = minimum_detectable(components, prompts, repeats)
        return smallest is not None and smallest <= difference + 1e-9

    high = MIN_PROMPTS
    while not enough(high):
        high *= 2
        if high > MOST_PROMPTS:
            return None
    low = max(MIN_PROMPTS - 1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _cluster_effect(difference: Floats, labels: NDArray[Any] | None) -> tuple[float, float]:
    """The inflation of the variance of the mean, and the prompts of an effective cluster."""
    spread = float(np.var(difference, ddof=1))
    if labels is None or spread <= 0.0:
        return 1.0, 1.0
    sums, sizes = unit_sums(difference, labels)
    estimate = estimate_mean(sums, sizes)
    per_cluster = difference.size / effective_units(sizes)
    if estimate is None:
        return 1.0, per_cluster
    return max(1.0, estimate.error**2 * difference.size / spread), per_cluster


def _within(table: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, unbiased variance and count of the usable repeats of each prompt."""
    count = np.isfinite(table).sum(axis=1).astype(np.float64)
    mean = np.nansum(table, axis=1) / count
    squares = np.nansum((table - mean[:, None]) ** 2, axis=1)
    return mean, squares / (count - 1.0), count
