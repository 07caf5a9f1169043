"""Numbers as JSON can hold them: plain Python, and None where a figure is undefined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats, Ints

JsonValues = dict[str, Any]  # names to values of any JSON type


def number(value: float | np.floating | None) -> float | None:
    """Return a plain float; NaN, infinity and None become None."""
    return None if value is None or not math.isfinite(value) else float(value)


def mean(values: Floats) -> float | None:
    """Return the mean of the values that are known; None when none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def interval(ends: tuple[float, float] | None) -> list[float] | None:
    """Return ``[low, high]``; None when the interval is undefined."""
    if ends is None or not all(math.isfinite(end) for end in ends):
        return None
    return [float(ends[0]), float(ends[1])]


def mean_interval(values: Floats, *, clusters: Ints | None = None) -> list[float] | None:
    """Return the 95 % interval of a mean over prompts (see :func:`.stats.mean_ci`).

    Args:
        values: one a prompt, NaN unknown.
        clusters: one a prompt when whole clusters are the unit, None when prompts are.

    """
    known = ~np.isnan(values)
    labels = None if clusters is None else clusters[known]
    return interval(stats.mean_ci(values[known], clusters=labels))


def share_interval(successes: int, n: int) -> list[float] | None:
    """Return Wilson's 95 % interval of a share; None when ``n`` is 0."""
    return interval(stats.wilson(successes, n))
