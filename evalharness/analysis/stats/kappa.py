"""Agreement of two raters who say yes or no: the share of equal verdicts, and Cohen's kappa."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.cluster_robust import effective_units, estimate_mean
from evalharness.analysis.stats.intervals import LEVEL, Interval, ratio_ci, wilson

Floats = NDArray[np.float64]


class RaterAgreement(NamedTuple):
    """How far two raters agree.

    Attributes:
        share: of verdicts that are equal, 0 to 1.
        share_ci: its 95 % interval over units; None where it is undefined.
        kappa: what is left of it when agreement by chance is taken off, -1 to 1; None where both
            raters always say the same one thing, so that nothing but agreement was possible.
        kappa_ci: its 95 % interval over units; None where it is undefined: below two units, and
            where a rater says the same of everything, for kappa is 0 then whatever the other says.
    """

    share: float
    share_ci: Interval | None
    kappa: float | None
    kappa_ci: Interval | None


def rater_agreement(
    a: NDArray[np.bool_], b: NDArray[np.bool_], units: NDArray[Any], level: float = LEVEL
) -> RaterAgreement:
    """Compare two raters over the same things, at least one.

    ``kappa = (p_o - p_e) / (1 - p_e)``, ``p_o`` the share of equal verdicts, ``p_e`` the share that
    independent raters with the same shares of yes would have (J. Cohen, Educ. Psychol. Meas. 20,
    1960). Its error is by the delta method: each verdict has an influence on kappa, by way of
    ``p_o`` and of both shares of yes (the terms of Fleiss, Cohen and Everitt, Psychol. Bull. 72,
    1969), and the influences are summed within units, which are independent (Z. Yang and M. Zhou,
    Stat. Med. 33, 2014, for clustered pairs), with the correction for few units of
    :func:`~.cluster_robust.estimate_mean`. The interval is Wilson's on the scale ``(1 + kappa) /
    2``, with the effective number of verdicts that this error stands for. Where all verdicts are
    equal, it ends where the lower end of the share of equal verdicts leaves it. Its coverage:
    ``python -m benchmarks.calibration``, table ``kappa``.

    Args:
        a, b: the verdicts of each, in the same order.
        units: the independent unit of each verdict: its prompt, or the cluster of that.
        level: the confidence level.
    """
    labels = np.unique(units, return_inverse=True)[1]
    sizes = np.bincount(labels).astype(np.float64)
    equal = (a == b).astype(np.float64)
    share, yes_a, yes_b = float(equal.mean()), float(a.mean()), float(b.mean())
    share_ci = ratio_ci(_sums(labels, equal), sizes, scale="share", level=level)
    chance = yes_a * yes_b + (1.0 - yes_a) * (1.0 - yes_b)
    if chance >= 1.0 - 1e-12:
        return RaterAgreement(share, share_ci, None, None)
    kappa = (share - chance) / (1.0 - chance)
    if share >= 1.0:
        n = effective_units(sizes)
        ends = wilson(n, n, level)
        assert ends is not None
        kappa_ci = ((ends[0] - chance) / (1.0 - chance), 1.0) if len(sizes) > 1 else None
        return RaterAgreement(share, share_ci, kappa, kappa_ci)
    by_chance = (2.0 * yes_b - 1.0) * (a - yes_a) + (2.0 * yes_a - 1.0) * (b - yes_b)
    influence = ((equal - share) * (1.0 - chance) - (1.0 - share) * by_chance) / (1 - chance) ** 2
    kappa_ci = _kappa_ci(kappa, _sums(labels, influence + kappa), sizes, level)
    return RaterAgreement(share, share_ci, kappa, kappa_ci)


def _sums(labels: NDArray[Any], values: Floats) -> Floats:
    return np.bincount(labels, values).astype(np.float64)


def _kappa_ci(kappa: float, sums: Floats, sizes: Floats, level: float) -> Interval | None:
    estimate = estimate_mean(sums, sizes)
    if estimate is None or estimate.error <= 1e-12:
        return None
    middle = (1.0 + kappa) / 2.0
    n = middle * (1.0 - middle) / (estimate.error / 2.0) ** 2
    ends = wilson(middle * n, n, level, estimate.df)
    return None if ends is None else (2.0 * ends[0] - 1.0, 2.0 * ends[1] - 1.0)
