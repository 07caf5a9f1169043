"""Quantiles over trials, and their differences between two sides that share prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.distribution_functions import normal_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ends = tuple[float, float]


class Quantile(NamedTuple):
    """A quantile of one side.

    Attributes:
        value: the quantile, interpolated linearly.
        ends: its interval (Woodruff, JASA 47, 1952); None below two units, and where there are
            too few trials to bound it (a p95 takes 59).
        residuals: one a unit, summed over its trials: whether it lies below, less the share.
    """

    value: float
    ends: Ends | None
    residuals: Floats


def quantiles(
    values: Floats, units: Ints, count: int, shares: Sequence[float], *, level: float = 0.95
) -> list[Quantile]:
    """Quantiles of trials that belong to prompts (or clusters), for each share.

    The share of trials below a quantile has an error that counts units, not trials, and the
    interval is read off the ordered values at that share, plus and minus. No resampling.

    Args:
        values: of the trials.
        units: the number of the prompt (or cluster) of each trial, from 0.
        count: how many units there are.
        shares: which quantiles, in (0, 1).
        level: the confidence level.

    Returns:
        Nothing when there are no trials.

    """
    if not values.size:
        return []
    ordered = np.sort(values)
    result: list[Quantile] = []
    for share in shares:
        value = _quantile(ordered, share)
        below = np.bincount(units, (values <= value) - share, minlength=count)
        residuals: Floats = below.astype(np.float64, copy=False)
        result.append(Quantile(value, _woodruff(ordered, share, residuals, level), residuals))
    return result


def _quantile(ordered: Floats, share: float) -> float:
    """The figure of ``numpy.quantile``, which would sort the sorted values again."""
    position = (ordered.size - 1) * share
    below = min(int(position), ordered.size - 1)
    low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    part = position - below
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1.0 - part)


def _woodruff(ordered: Floats, share: float, residuals: Floats, level: float) -> Ends | None:
    """Interval of one quantile; ``residuals`` as in :class:`Quantile`."""
    trials, units = ordered.size, residuals.size
    tail = max(share, 1.0 - share)
    if units < 2 or 1.0 - tail**trials < level:
        return None
    error = math.sqrt(units / (units - 1) * float(residuals @ residuals)) / trials
    half = normal_quantile((1.0 + level) / 2.0) * error
    return _quantile(ordered, max(share - half, 0.0)), _quantile(ordered, min(share + half, 1.0))


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
