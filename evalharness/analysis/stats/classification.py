"""Precision, recall and F1 of classes, with intervals over independent units.

Precision and recall are ratios of counts: their intervals are those of any share
(:func:`.intervals.ratio_ci`). F1 is ``2 J / (1 + J)`` of the Jaccard index J, the share that is
right of the records whose target or prediction is the class, so that the ends of J's interval give
those of F1 (the *indirect* interval of Lam, Gopal and Qian, arXiv 2309.14621). The mean over
classes has Wilson's interval, too, on the effective number of trials that its jackknife error
implies (Miller, Biometrika 61, 1974: each unit left out once). Its degrees of freedom are
Satterthwaite's over the classes, of which only the share of units with an error counts: where
nearly all is right, the error is that of the few others.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.cluster_robust import effective_units
from evalharness.analysis.stats.intervals import Interval, ratio_ci, wilson

Floats = NDArray[np.float64]
Ints = NDArray[np.signedinteger[Any]]


class ClassCounts(NamedTuple):
    """The counts of one class in each unit that has any; units may be in several classes.

    Attributes:
        unit: the numbers of the units, ascending.
        right: records whose target and prediction are the class.
        targets: records whose target it is.
        predictions: records whose prediction it is.
    """

    unit: Ints
    right: Floats
    targets: Floats
    predictions: Floats


class ShareEstimate(NamedTuple):
    """A share from 0 to 1; None where it is undefined, as is its 95 % interval."""

    value: float | None
    ci95: Interval | None


class ClassFigures(NamedTuple):
    """Precision, recall and F1 of a class."""

    precision: ShareEstimate
    recall: ShareEstimate
    f1: ShareEstimate


def share_of(sums: Floats, sizes: Floats) -> ShareEstimate:
    """``sum(sums) / sum(sizes)`` over units, those without any left out."""
    used = sizes > 0
    if not used.any():
        return ShareEstimate(None, None)
    sums, sizes = sums[used], sizes[used]
    return ShareEstimate(float(sums.sum() / sizes.sum()), ratio_ci(sums, sizes, scale="share"))


def class_figures(counts: ClassCounts) -> ClassFigures:
    """The figures of one class; precision is None where it is never predicted.

    F1 is None where no record has the class as its target, as is recall.
    """
    right, targets, predictions = counts.right, counts.targets, counts.predictions
    recall = share_of(right, targets)
    if recall.value is None:
        return ClassFigures(share_of(right, predictions), recall, ShareEstimate(None, None))
    jaccard = share_of(right, targets + predictions - right)
    assert jaccard.value is not None
    ends = jaccard.ci95
    f1_ends = None if ends is None else (_f1(ends[0]), _f1(ends[1]))
    return ClassFigures(
        share_of(right, predictions), recall, ShareEstimate(_f1(jaccard.value), f1_ends)
    )


def _f1(jaccard: float) -> float:
    return 2.0 * jaccard / (1.0 + jaccard)


def macro_f1(counts: list[ClassCounts], figures: list[ClassFigures], units: int) -> ShareEstimate:
    """The mean of the F1 of the classes that have targets, each with the same weight.

    Args:
        counts: of each class.
        figures: of each class.
        units: how many units there are: numbers in ``counts`` are below it.
    """
    f1 = [(c, f.f1.value) for c, f in zip(counts, figures, strict=True)]
    known = [(c, value) for c, value in f1 if value is not None]
    if not known:
        return ShareEstimate(None, None)
    mean = math.fsum(value for _, value in known) / len(known)
    changes, weights = np.zeros(units), np.zeros(units)
    variances: list[float] = []
    dfs: list[float] = []
    for c, value in known:
        weight = (c.targets + c.predictions) / (c.targets + c.predictions).sum()
        change = (value - _f1_without_each(c, mean)) / len(known)
        changes[c.unit] += change
        weights[c.unit] += weight
        variances.append(float(change @ change))
        wrong = np.count_nonzero(2.0 * c.right < c.targets + c.predictions)
        dfs.append(max(1.0, (c.unit.size - 1.0) * wrong / c.unit.size))
    variance = float(changes @ changes)
    if round(mean, 12) in (0.0, 1.0):
        n = effective_units(weights)
        return ShareEstimate(mean, wilson(round(mean) * n, n))
    if variance <= 0.0:
        return ShareEstimate(mean, None)
    n = mean * (1.0 - mean) / variance
    return ShareEstimate(mean, wilson(mean * n, n, df=_satterthwaite(variances, dfs, units)))


def _f1_without_each(counts: ClassCounts, otherwise: float) -> Floats:
    """The F1 of a class without each of its units; ``otherwise`` where nothing is left."""
    right = counts.right.sum() - counts.right
    records = counts.targets + counts.predictions
    rest = records.sum() - records
    return np.where(rest > 0, 2.0 * right / np.maximum(rest, 1.0), otherwise)


def _satterthwaite(variances: list[float], dfs: list[float], units: int) -> float:
    """Degrees of freedom of a sum of variances; at most those of all units."""
    terms = math.fsum(v * v / df for v, df in zip(variances, dfs, strict=True))
    return max(1.0, min(units - 1.0, math.fsum(variances) ** 2 / terms)) if terms else 1.0
