"""Prediction intervals of totals: of further observations, and of new points of a line.

A prediction interval covers what will be *observed*: it includes the error of the estimate and the
scatter of the new observations. Where the structure of the scatter is unknown, the larger is
assumed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.distribution_functions import t_quantile
from evalharness.analysis.stats.intervals import LEVEL, wilson

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Prediction(NamedTuple):
    """A predicted total: its expectation and the ends of its interval."""

    low: float
    expected: float
    high: float


def predict_total(
    values: Floats,
    unit: Ints,
    stratum: Ints,
    wanted: NDArray[np.float64],
    *,
    maximum: Floats | None = None,
    level: float = LEVEL,
) -> Prediction | None:
    """Predict the sum of further observations of units (prompts) in strata (settings).

    The expectation of a unit seen before in the stratum is its own mean, of others the stratum's
    mean over its seen units. The error of that mean is cluster-robust over units with t of G−1
    degrees of freedom (as in :func:`~.intervals.standard_error`), since one unit may be seen in
    many strata. The scatter of unseen units is taken as shared by all strata, that of seen ones as
    the variance between repeats where it is known, else between units. In a stratum whose values
    are all equal, Wilson's interval bounds the share of units with other values, and these may have
    any value.

    Args:
        values: past observations, at least 0.
        unit: the unit of each, from 0.
        stratum: the stratum of each, from 0.
        wanted: units × strata, how many more observations of each.
        maximum: upper bound of one observation of each stratum; None is no bound.
        level: of the interval.

    Returns:
        None when a stratum of which an unseen unit is wanted has fewer than two seen units, or
        when nothing tells its scatter.
    """
    past = _PastStatistics.of(values, unit, stratum, wanted)
    if past is None:
        return None
    units, strata = wanted.shape
    seen = past.counts > 0
    unseen_wanted = np.where(seen, 0.0, wanted)
    new = unseen_wanted.sum(axis=0)
    expected = float((np.where(seen, past.mean, past.level) * wanted).sum())
    # The level of a stratum costs a degree of freedom: n/(n−1), as the G/(G−1) of CR1.
    correction = np.sqrt(past.seen_units / np.maximum(past.seen_units - 1.0, 1.0))
    influence = np.where(seen, past.mean - past.level, 0.0) * (correction * new / past.seen_units)
    groups = int((seen[:, new > 0].any(axis=1)).sum()) if (new > 0).any() else 0
    error = float((influence.sum(axis=1) ** 2).sum())
    spread = np.sqrt(past.between)
    scatter = float(((unseen_wanted * spread).sum(axis=1) ** 2).sum())
    if past.within is not None:
        scatter += float((unseen_wanted * past.within).sum())
    noise = np.broadcast_to(
        past.between if past.within is None else np.full(strata, past.within), (units, strata)
    )
    of_seen = np.where(seen, wanted**2 / np.maximum(past.counts, 1) + wanted, 0.0) * noise
    df = max(1, (groups or int(seen.any(axis=1).sum())) - 1)
    half = t_quantile((1.0 + level) / 2.0, df) * math.sqrt(error + scatter + float(of_seen.sum()))
    low, high = expected - half, expected + half
    below, above = _unseen_values(past, new, maximum, level)
    observations = wanted.sum(axis=0)
    ceiling = math.inf
    if maximum is not None:
        ceiling = float((observations * maximum)[observations > 0].sum())
    return Prediction(max(0.0, low - below), expected, min(ceiling, high + above))


class _PastStatistics(NamedTuple):
    """Cell means and counts (units × strata), levels and variances (strata)."""

    mean: Floats
    counts: Floats
    level: Floats
    seen_units: Floats
    between: Floats
    within: float | None

    @classmethod
    def of(
        cls, values: Floats, unit: Ints, stratum: Ints, wanted: Floats
    ) -> _PastStatistics | None:
        units, strata = wanted.shape
        cell, cells = unit * strata + stratum, units * strata
        count = np.bincount(cell, minlength=cells).astype(np.float64)
        total = np.bincount(cell, weights=values, minlength=cells)
        mean = total / np.maximum(count, 1.0)
        within = _within(values, mean[cell], count)
        mean, count = mean.reshape(units, strata), count.reshape(units, strata)
        seen = count > 0
        seen_units = seen.sum(axis=0).astype(np.float64)
        needs = (np.where(seen, 0.0, wanted).sum(axis=0) > 0) & (seen_units < 2)
        repeats_only = (wanted.sum(axis=0) > 0) & (seen_units < 2) & (within is None)
        if np.any(needs | repeats_only):
            return None
        level = np.where(seen, mean, 0.0).sum(axis=0) / np.maximum(seen_units, 1.0)
        squares = (np.where(seen, mean - level, 0.0) ** 2).sum(axis=0)
        between = squares / np.maximum(seen_units - 1.0, 1.0)
        return cls(mean, count, level, np.maximum(seen_units, 1.0), between, within)


def _within(values: Floats, own_mean: Floats, count: Floats) -> float | None:
    """Pooled variance between repeats of a unit in a stratum; None without any repeat."""
    freedom = float(np.maximum(count - 1.0, 0.0).sum())
    return float(((values - own_mean) ** 2).sum()) / freedom if freedom else None


def _unseen_values(
    past: _PastStatistics, new: Floats, maximum: Floats | None, level: float
) -> tuple[float, float]:
    """How far the totals of strata of equal values may be off, below and above."""
    below = above = 0.0
    constant = (past.between <= 0) & (new > 0)
    for index in np.flatnonzero(constant).tolist():
        bounds = wilson(0, int(past.seen_units[index]), level)
        assert bounds is not None
        value = float(past.level[index])
        others = float(new[index]) * bounds[1]
        below += others * value
        top = math.inf if maximum is None else float(maximum[index])
        above += others * (top - value) if bounds[1] > 0 else 0.0
    return below, above


def line_total(
    x: Floats, y: Floats, new_x: Floats, wanted: Floats, *, level: float = LEVEL
) -> Prediction | None:
    """Predict ``sum(wanted · y)`` at new points of a line fitted to positive x and y.

    Weighted least squares of ``y = a + b x`` with variance proportional to x (the ratio model of
    Royall, Biometrika 57, 1970, with an intercept); ``y = b x`` where x hardly varies. A new point
    counts with all its ``wanted`` repeats at once, since they share its residual.

    Returns:
        None with fewer than three points, or nothing positive.
    """
    if x.size < 3 or np.any(x <= 0):
        return None
    varied = float(np.ptp(x)) > 0.1 * float(x.mean())
    design = np.stack([np.ones_like(x), x], axis=1) if varied else x[:, None]
    inverse = np.linalg.inv(design.T @ (design / x[:, None]))
    beta = inverse @ (design.T @ (y / x))
    df = x.size - design.shape[1]
    variance = float(((y - design @ beta) ** 2 / x).sum()) / df
    new = np.stack([np.ones_like(new_x), new_x], axis=1) if varied else new_x[:, None]
    point = wanted @ new
    expected = float(point @ beta)
    spread = float(point @ inverse @ point) + float((wanted**2 * new_x).sum())
    half = t_quantile((1.0 + level) / 2.0, df) * math.sqrt(variance * spread)
    return Prediction(max(0.0, expected - half), expected, expected + half)
