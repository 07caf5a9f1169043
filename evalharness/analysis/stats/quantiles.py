"""Differences of percentiles between two sets of trials that share their prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats._distributions import normal_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Side = tuple[Floats, Ints]


def quantile_differences(
    a: Side,
    b: Side,
    shares: Sequence[float] = (0.5, 0.95),
    *,
    clusters: NDArray[Any] | None = None,
    level: float = 0.95,
) -> list[tuple[float, float, tuple[float, float] | None]]:
    """Quantiles of two sides, and the interval of their difference, paired by prompt.

    Each quantile gets Woodruff's interval (JASA 47, 1952): the share of trials below it has an
    error that counts prompts (or clusters), not trials, and the interval is read off the ordered
    values at that share, plus and minus. The two are combined with their correlation over prompts
    (Zou and Donner, Stat. Med. 27, 2008), which keeps the skew of a tail. No resampling.

    Args:
        a: values of the trials of the compared side, and the number of the prompt of each.
        b: the same for the baseline.
        shares: which quantiles, in (0, 1); they interpolate linearly.
        clusters: one label a prompt number, None for independent prompts.
        level: the confidence level.

    Returns:
        For each share ``(quantile of a, quantile of b, interval of a - b)``; the interval is None
        below two prompts, and where a side has too few trials to bound the quantile (a p95 takes
        59). Empty when a side has no trials.

    """
    if not a[0].size or not b[0].size:
        return []
    codes, count = _units(a[1], b[1], clusters)
    owners = [codes[side[1]] for side in (a, b)]
    ordered = [np.sort(side[0]) for side in (a, b)]
    found: list[tuple[float, float, tuple[float, float] | None]] = []
    for share in shares:
        points = [_quantile(values, share) for values in ordered]
        residuals: list[Floats] = [
            np.bincount(owner, (side[0] <= point) - share, minlength=count).astype(np.float64)
            for side, owner, point in zip((a, b), owners, points, strict=True)
        ]
        ends = [
            _woodruff(values, share, residual, level)
            for values, residual in zip(ordered, residuals, strict=True)
        ]
        found.append((points[0], points[1], _combined(points, ends, residuals)))
    return found


def _units(a: Ints, b: Ints, clusters: NDArray[Any] | None) -> tuple[Ints, int]:
    """The code of the prompt (or cluster) of each prompt number, and how many codes there are."""
    there = np.zeros(max(int(a.max()), int(b.max())) + 1, np.bool_)
    there[a] = there[b] = True
    units = np.flatnonzero(there)
    labels = units if clusters is None else np.asarray(clusters)[units]
    codes = np.zeros(len(there), np.int64)
    distinct, codes[units] = np.unique(labels, return_inverse=True)
    return codes, len(distinct)


def _quantile(ordered: Floats, share: float) -> float:
    """What ``numpy.quantile`` gives, which would look for the order of ordered values again."""
    place = (ordered.size - 1) * share
    below = min(int(place), ordered.size - 1)
    low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    part = place - below
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1.0 - part)


def _woodruff(
    ordered: Floats, share: float, residuals: Floats, level: float
) -> tuple[float, float] | None:
    """Interval of one quantile; ``residuals`` sum, for each unit, what its trials lie below."""
    trials, units = ordered.size, residuals.size
    tail = max(share, 1.0 - share)
    if units < 2 or 1.0 - tail**trials < level:
        return None
    error = math.sqrt(units / (units - 1) * float(residuals @ residuals)) / trials
    half = normal_quantile((1.0 + level) / 2.0) * error
    return _quantile(ordered, max(share - half, 0.0)), _quantile(ordered, min(share + half, 1.0))


def _combined(
    points: list[float], ends: list[tuple[float, float] | None], residuals: list[Floats]
) -> tuple[float, float] | None:
    """Interval of a difference from two intervals and the correlation of their errors."""
    first, second = ends
    if first is None or second is None:
        return None
    spread = math.sqrt(float(residuals[0] @ residuals[0]) * float(residuals[1] @ residuals[1]))
    correlation = float(residuals[0] @ residuals[1]) / spread if spread > 0.0 else 0.0
    difference = points[0] - points[1]

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one + other * other - 2.0 * correlation * one * other))

    low = difference - reach(points[0] - first[0], second[1] - points[1])
    high = difference + reach(first[1] - points[0], points[1] - second[0])
    return low, high
