"""Did a series of runs change, and from which run on?

Two tests, and the larger p stands, so that a verdict needs both:

* Over runs: the largest two-sample t over all splits of the runs' levels, against runs that are
  independent and alike: normal, or of any distribution where ranks stand for levels. It knows of
  noise that a whole run shares (a busy server).
* Over units: the same split sums against runs exchanged within each prompt (or cluster). It knows
  of figures of few values, whose runs are mostly equal to the last digit.

A series is watched: someone looks after every run. :data:`LOOKS` is what all looks over 30 runs
cost against a single one; docs/calibration.md has the shares of false alarms.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.distribution_functions import normal_quantile

Floats = NDArray[np.float64]

MIN_RUNS = 5
#: The factor of p for looking after each of up to 30 runs.
LOOKS = 13.0

_NULL_DRAWS = 40_000
_MOST_UNITS = 100  # beyond these many units that vary their sum is taken as normal
_FIRST_DRAWS, _DRAWS = 499, 9_999
_DRAWS_AT_ONCE = 500
_PROMISING = 0.02  # below this p more draws are worth their time


class ChangeTest(NamedTuple):
    """What the runs of a series say about a change.

    Attributes:
        p: chance of such a split where nothing changes, all looks at up to 30 runs included.
        first: position of the first run after the likeliest change.
        units: prompts or clusters with a value in two runs or more.
    """

    p: float
    first: int
    units: int


def change_test(
    values: Floats,
    clusters: NDArray[Any] | None = None,
    *,
    by_rank: bool = False,
    seed: int = 0,
) -> ChangeTest | None:
    """Test a series of runs for a change of level.

    Each prompt is compared with itself alone, so prompts that come or go are no change.

    Args:
        values: prompts × runs in the order of time, NaN unknown; amounts as logarithms.
        clusters: one label a prompt, None for independent prompts.
        by_rank: take the runs' levels by their ranks: a single run that is far off is no change
            then, three at an end of 30 are.
        seed: of the exchanges: equal seeds give equal bits.

    Returns:
        None with fewer than :data:`MIN_RUNS` runs, a run without values, or fewer than two units.

    """
    known = ~np.isnan(values)
    compared = known.sum(axis=1) >= 2
    values, known = values[compared], known[compared]
    runs = values.shape[1]
    if runs < MIN_RUNS or not known.any(axis=0).all():
        return None
    means = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
    residuals = np.where(known, values - means[:, None], 0.0)
    residuals[np.abs(residuals) < 1e-12] = 0.0  # rounding of equal values
    units = residuals if clusters is None else _sum_clusters(residuals, clusters[compared])
    if len(units) < 2:
        return None
    levels = residuals.sum(axis=0) / known.sum(axis=0)
    splits = _split_squares(levels)
    first = int(np.argmax(splits)) + 1
    total = float(((levels - levels.mean()) ** 2).sum())
    if total <= 0.0:
        return ChangeTest(1.0, first, len(units))
    if by_rank:
        scores = _normal_scores(levels)
        by_run = _tail(_null_of_ranks(runs), float(_split_squares(scores).max()))
    else:
        by_run = _tail(_null(runs)[0], float(splits.max()) / total)
    p = max(by_run, _unit_p(units, seed, promising=by_run <= _PROMISING))
    return ChangeTest(min(1.0, LOOKS * p), first, len(units))


def _sum_clusters(residuals: Floats, clusters: NDArray[Any]) -> Floats:
    _, codes = np.unique(clusters, return_inverse=True)
    sums = np.zeros((int(codes.max(initial=-1)) + 1, residuals.shape[1]))
    np.add.at(sums, codes, residuals)
    return sums


def _split_squares(levels: Floats) -> Floats:
    """The square sum between the two sides of each split, of one or many series (last axis)."""
    runs = levels.shape[-1]
    sizes: Floats = np.arange(1, runs, dtype=np.float64)
    before = np.cumsum(levels - levels.mean(axis=-1, keepdims=True), axis=-1)[..., :-1]
    return before**2 * (runs / (sizes * (runs - sizes)))


@cache
def _null(runs: int) -> tuple[Floats, Floats]:
    """The largest split square of normal levels, as a share of all and in variances; sorted."""
    levels = np.random.default_rng([2607, runs]).standard_normal((_NULL_DRAWS, runs))
    largest = _split_squares(levels).max(axis=1)
    total = ((levels - levels.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    return np.sort(largest / total), np.sort(largest)


@cache
def _null_of_ranks(runs: int) -> Floats:
    """The largest split square of normal scores in any order; sorted."""
    scores = _normal_scores(np.arange(runs, dtype=np.float64))
    rng = np.random.default_rng([2608, runs])
    orders = rng.permuted(np.broadcast_to(scores, (_NULL_DRAWS, runs)), axis=1)
    return np.sort(_split_squares(orders).max(axis=1))


def _normal_scores(levels: Floats) -> Floats:
    """The normal quantile of each rank; equal levels share the mean of theirs."""
    _, codes, counts = np.unique(levels, return_inverse=True, return_counts=True)
    runs = len(levels)
    quantiles = np.array([normal_quantile((rank + 0.5) / runs) for rank in range(runs)])
    ends = np.cumsum(counts)
    means = np.array([
        quantiles[end - count : end].mean() for end, count in zip(ends, counts, strict=True)
    ])  # fmt: skip
    return means[codes]


def _tail(null: Floats, value: float) -> float:
    """The share of a sorted null distribution at or above a value, the value itself counted."""
    above = len(null) - int(np.searchsorted(null, value * (1 - 1e-9)))
    return (1 + above) / (1 + len(null))


def _unit_p(units: Floats, seed: int, *, promising: bool) -> float:
    """The chance of the largest split square where runs are exchanged within each unit."""
    varying = units[np.ptp(units, axis=1) > 0]
    observed = float(_split_squares(varying.sum(axis=0)).max())
    if len(varying) > _MOST_UNITS:
        variance = float(varying.var(axis=1, ddof=1).sum())
        return _tail(_null(units.shape[1])[1], observed / variance)
    rng = np.random.default_rng(seed)
    p = _exchange_p(rng, varying, observed, _FIRST_DRAWS)
    return _exchange_p(rng, varying, observed, _DRAWS) if promising and p <= _PROMISING else p


def _exchange_p(rng: np.random.Generator, units: Floats, observed: float, draws: int) -> float:
    above, left = 0, draws
    while left:
        size = min(left, _DRAWS_AT_ONCE)
        exchanged = rng.permuted(np.broadcast_to(units, (size, *units.shape)), axis=2)
        largest = _split_squares(exchanged.sum(axis=1)).max(axis=1)
        above += int((largest >= observed * (1 - 1e-9)).sum())
        left -= size
    return (1 + above) / (1 + draws)
