"""Numbers as JSON can hold them: plain Python, and None where a figure is undefined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.exact_sums import mean_of

JsonValues = dict[str, Any]  # names to values of any JSON type


def number(value: float | np.floating | None) -> float | None:
    """Return a plain float; NaN, infinity and None become None."""
    return None if value is None or not math.isfinite(value) else float(value)


def mean(values: Floats) -> float | None:
    """Return the mean of the values that are known, the same in any order; None when none is."""
    known = values[~np.isnan(values)]
    return mean_of(known) if len(known) else None


def interval(ends: tuple[float, float] | None) -> list[float] | None:
    """Return ``[low, high]``; None when the interval is undefined."""
    if ends is None or not all(math.isfinite(end) for end in ends):
        return None
    return [float(ends[0]), float(ends[1])]


def share_interval(values: Floats, clusters: Ints | None) -> list[float] | None:
    """Return the 95 % interval of a mean over prompts of shares (see :func:`.stats.mean_ci`).

    Args:
        values: one a prompt, NaN unknown.
        clusters: one a prompt where prompts name a cluster; None where each is a unit.

    """
    return interval(stats.mean_ci(values, clusters=clusters))


def amount_interval(values: Floats, clusters: Ints | None) -> list[float] | None:
    """Like :func:`share_interval`, of seconds, tokens or dollars, which are at least 0."""
    ends = stats.mean_ci(values, clusters=clusters, scale="amount")
    return interval(ends if ends is None else (max(0.0, ends[0]), ends[1]))
