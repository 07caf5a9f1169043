"""Differences of rates of load points: two sides of one figure each, with their spread over time.

A rate belongs to a load point as a whole, so that no prompt pairs the sides. The stretches of both
windows are taken as independent, and the means compared as by Welch (Biometrika 34, 1947). Settings
that shared a load point have one measurement of it: each pair of points counts once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from evalharness.analysis import stats
from evalharness.analysis.comparison.matching import SettingPair
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.data.rate_samples import RateSample
from evalharness.analysis.stats.distribution_functions import t_cdf, t_quantile

Ends = tuple[float, float]


class RateDifference(NamedTuple):
    """A rate on both sides; of pooled strata the mean over their pairs of load points.

    Attributes:
        a, b: per second.
        n: stretches of time on the side with fewer; of a search its valid points. A load point that
            several settings shared counts once, here and in ``counted``.
        counted: answers behind each side; None of a search.
        ci95, p: of a minus b; None where no stretch differs from another, and of a search.
        ratio: a over b; None where b is 0.
        ratio_ci95: its 95 % interval (Fieller); None where it is undefined.
        mde: the difference that is detected with 80 % chance; None where there is no spread.
        bounds: of a search, the least and most that a minus b can be by the verdicts, None without
            such a bound; None of other rates.
    """

    a: float
    b: float
    n: int
    counted: tuple[int, int] | None
    ci95: Ends | None = None
    p: float | None = None
    ratio: float | None = None
    ratio_ci95: Ends | None = None
    mde: float | None = None
    bounds: tuple[float | None, float | None] | None = None

    @property
    def difference(self) -> float:
        """A minus b, per second."""
        return self.a - self.b


class _Spread(NamedTuple):
    """The variance of a side's mean, and its Welch–Satterthwaite denominator."""

    variance: float
    weight: float


def rate_difference(joined: JoinedRuns, pair: SettingPair, metric: str) -> RateDifference | None:
    """The difference of a rate; None where no stratum has it on both sides.

    Settings that shared one load point have no rates of their own: there is no difference of them.
    """
    matched = _matched(joined, pair, metric)
    if not matched:
        return None
    sides = [[pair[0] for pair in matched], [pair[1] for pair in matched]]
    points = [Counter(side) for side in sides]
    a, b = (sum(sample.value for sample in side) / len(side) for side in sides)
    ratio = a / b if b > 0.0 else None
    if matched[0][0].stretches is None:
        n = min(sum(sample.n for sample in side) for side in points)
        return RateDifference(a, b, n, None, ratio=ratio, bounds=_bounds(*sides))
    counted = (sum(s.n for s in points[0]), sum(s.n for s in points[1]))
    n = min(sum(len(s.stretches) for s in side if s.stretches is not None) for side in points)
    row = RateDifference(a, b, n, counted, ratio=ratio)
    return _tested(row, *(_spread(side) for side in points))


def _matched(
    joined: JoinedRuns, pair: SettingPair, metric: str
) -> list[tuple[RateSample, RateSample]]:
    """The pairs of measurements, each once however many settings shared both load points."""
    matched: dict[tuple[RateSample, RateSample], None] = {}
    for compared, baseline in zip(pair.compared, pair.baseline, strict=True):
        a, b = joined.rate(metric, compared), joined.rate(metric, baseline)
        if a is not None and b is not None and a is not b:
            matched[a, b] = None  # samples are equal by identity alone
    return list(matched)


def _bounds(a: Sequence[RateSample], b: Sequence[RateSample]) -> tuple[float | None, float | None]:
    """What the verdicts leave possible of the mean difference of the highest rates that hold."""

    def total(side: Sequence[RateSample]) -> float | None:
        highs = [sample.high for sample in side]
        return None if None in highs else sum(high for high in highs if high is not None)

    k = len(a)
    lows = [sum(sample.value for sample in side) for side in (a, b)]
    high_a, high_b = total(a), total(b)
    return (
        None if high_b is None else (lows[0] - high_b) / k,
        None if high_a is None else (high_a - lows[1]) / k,
    )


def _spread(points: Counter[RateSample]) -> _Spread:
    """Of the mean of some points, each the mean of its stretches and as often as it is counted."""
    parts: list[tuple[float, int]] = []
    for sample, times in points.items():
        assert sample.stretches is not None
        share = times / points.total()
        variance = float(sample.stretches.var(ddof=1)) / len(sample.stretches) * share**2
        parts.append((variance, len(sample.stretches) - 1))
    return _Spread(sum(v for v, _ in parts), sum(v * v / df for v, df in parts))


def _tested(row: RateDifference, a: _Spread, b: _Spread) -> RateDifference:
    variance = a.variance + b.variance
    if variance <= 1e-18 * max(row.a, row.b) ** 2:  # equal up to rounding
        return row
    error, df = math.sqrt(variance), variance**2 / (a.weight + b.weight)
    t = t_quantile(0.975, df)
    return row._replace(
        ci95=(row.difference - t * error, row.difference + t * error),
        p=min(1.0, 2.0 * t_cdf(-abs(row.difference) / error, df)),
        ratio_ci95=_fieller(row.a, row.b, a.variance, b.variance, t),
        mde=stats.detectable(error, row.n, df),
    )


def _fieller(a: float, b: float, var_a: float, var_b: float, t: float) -> Ends | None:
    """The interval of the ratio of two independent means; None where b is not clear of 0."""
    square = b * b - t * t * var_b
    if square <= 0.0:
        return None
    root = math.sqrt(max(0.0, (a * b) ** 2 - square * (a * a - t * t * var_a)))
    return max(0.0, (a * b - root) / square), (a * b + root) / square
