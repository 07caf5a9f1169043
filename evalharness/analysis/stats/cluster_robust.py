"""The mean over prompts, its standard error and degrees of freedom, robust to clusters.

The error is CR2 with the degrees of freedom of Bell and McCaffrey (Surv. Methodol. 28, 2002;
Pustejovsky and Tipton, J. Bus. Econ. Stat. 36, 2018): each cluster's residual is enlarged by what
its own weight in the mean takes away from it, and the degrees of freedom are those of the error's
Satterthwaite approximation when prompts are independent. With clusters of one prompt each it is
Student's t; with one cluster far larger than the others the degrees of freedom fall to about the
effective number of clusters. The usual CR1 with G - 1 degrees of freedom covers 70 % there.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class MeanEstimate(NamedTuple):
    """A mean over prompts.

    Attributes:
        mean: over prompts, each with the same weight.
        error: its standard error; 0 where the units do not vary.
        df: degrees of freedom of the error, at least 1; not a whole number where clusters have
            unequal sizes.
        skewness: of the units' contributions to the mean; 0 below three units.
        units: prompts, or clusters of them.
    """

    mean: float
    error: float
    df: float
    skewness: float
    units: int


def unit_sums(values: Floats, labels: NDArray[Any] | None) -> tuple[Floats, Floats]:
    """The sum and the size of each unit, in the order of the sorted labels.

    Args:
        values: one a prompt, without NaN.
        labels: the cluster of each; None where each prompt is a unit.
    """
    if labels is None:
        return values, np.ones(values.size)
    if labels.dtype.kind != "i" or labels.min() < 0 or labels.max() > 4 * len(labels):
        labels = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(labels)
    sums = np.bincount(labels, weights=values).astype(np.float64)
    used = sizes > 0  # there may be gaps between labels
    return sums[used], sizes[used].astype(np.float64)


def effective_clusters(labels: NDArray[Any]) -> float:
    """:func:`effective_units` of clusters, from the label of each prompt."""
    return effective_units(unit_sums(np.ones(labels.size), labels)[1])


def effective_units(sizes: Floats) -> float:
    """How many clusters of equal size would leave the mean as uncertain (Kish, 1965).

    ``(sum of sizes)² / sum of squared sizes``: the number of clusters where all are equally large,
    near 1 where one holds nearly all prompts. 0 without any.
    """
    squares = float(sizes @ sizes)
    return float(sizes.sum()) ** 2 / squares if squares else 0.0


def estimate_mean(sums: Floats, sizes: Floats) -> MeanEstimate | None:
    """Estimate ``sum(sums) / sum(sizes)`` from independent units; None below two of them."""
    units = sums.size
    if units < 2:
        return None
    count = float(sizes.sum())
    mean = float(sums.sum()) / count
    weight = 1.0 / (1.0 - sizes / count)
    adjusted = np.sqrt(weight) * (sums - sizes * mean)
    error = math.sqrt(float(adjusted @ adjusted)) / count
    return MeanEstimate(mean, error, _degrees_of_freedom(sizes, weight), _skewness(adjusted), units)


def _degrees_of_freedom(sizes: Floats, weight: Floats) -> float:
    """``(tr Q)² / tr Q²`` of the quadratic form of the squared error, prompts independent.

    The form has the matrix ``M' D M``, with D the diagonal of ``weight`` and M what takes the mean
    from the sums of units; its entries are ``D_g [g = h] + c - u_g - u_h``, and the sums of units
    have the variances ``sizes``. Both traces are sums over units.
    """
    count, spread = float(sizes.sum()), weight * sizes
    u = spread / count
    c = float(sizes @ spread) / count**2
    u1, u2 = float(sizes @ u), float(sizes @ (u * u))
    diagonal = c - 2.0 * u
    trace = float(sizes @ (weight + diagonal))
    squares = c * c * count**2 + 2.0 * count * u2 + 2.0 * u1 * u1 - 4.0 * c * count * u1
    squares += float((sizes * sizes) @ ((weight + diagonal) ** 2 - diagonal**2))
    return max(1.0, trace * trace / squares)


def _skewness(residuals: Floats) -> float:
    """The third standardised moment, corrected for small samples (Fisher's G1)."""
    n, largest = residuals.size, float(np.abs(residuals).max(initial=0.0))
    if n < 3 or largest <= 0.0:
        return 0.0
    residuals = residuals / largest  # so that no power is too small for a float
    squares = float(residuals @ residuals)
    plain = math.sqrt(n) * float((residuals * residuals) @ residuals) / squares**1.5
    return plain * math.sqrt(n * (n - 1.0)) / (n - 2.0)
