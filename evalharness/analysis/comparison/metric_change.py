"""How far a metric of one setting changed since a baseline, with intervals over prompts."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np
from msgspec import structs

from evalharness.analysis import stats
from evalharness.analysis.comparison.matching import SettingPair
from evalharness.analysis.comparison.paired_metric import joined_sides
from evalharness.analysis.comparison.percentiles import trial_quantiles
from evalharness.analysis.comparison.rate_difference import rate_difference
from evalharness.analysis.data.join_runs import Bools, Floats, Ints, JoinedRuns
from evalharness.analysis.data.metrics import RATE_METRICS, is_share
from evalharness.analysis.stats.intervals import is_constant

_TOO_FEW = "too few independent prompts"
_Ends = tuple[float, float]
_STEPS = 60  # halvings, beyond the precision of a float


class MetricChange(msgspec.Struct, frozen=True, kw_only=True):
    """A metric on both sides of a pair, over the prompts that have a value on both.

    Attributes:
        value, baseline: means over prompts, or percentiles over trials, in the metric's unit.
        ci95: 95 % interval of value minus baseline; None where it is undefined.
        ratio: value over baseline; None where the baseline is 0 and the value is not.
        ratio_ci95: its 95 % interval; None where it is undefined, and for shares.
        prompts: how many have a value on both sides; of rates the stretches of time.
        by_prompt: value minus baseline of each joined prompt, NaN where a side is unknown; None for
            percentiles.
        sides: the value and the baseline of each prompt likewise; None for percentiles.
        no_interval: why there is no interval, where there is none.
        no_ratio_interval: the same of the ratio.
    """

    value: float
    baseline: float
    ci95: _Ends | None
    ratio: float | None
    ratio_ci95: _Ends | None
    prompts: int
    by_prompt: Floats | None = None
    sides: tuple[Floats, Floats] | None = None
    no_interval: str = _TOO_FEW
    no_ratio_interval: str = _TOO_FEW


def metric_change(
    joined: JoinedRuns, pair: SettingPair, metric: str, share: float | None = None
) -> MetricChange | None:
    """The change of a metric; None where no prompt (or load point) has a value on both sides.

    Args:
        joined: the runs.
        pair: one setting against its counterpart.
        metric: of :func:`.cell_means.cell_means`, also a rate of load points.
        share: compares a percentile over trials (0.95) in place of the mean over prompts.
    """
    if metric in RATE_METRICS:
        return _rate_change(joined, pair, metric)
    a, b = joined_sides(joined.values(metric), pair)
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return None
    if share is not None:
        return _percentile_change(joined, pair, metric, share, both)
    bounded = is_share(metric)
    value, baseline = float(a[both].mean()), float(b[both].mean())
    labels = joined.clusters
    units = None if labels is None else labels[both]
    enough = stats.unit_sums(a[both], units)[1].size >= stats.MIN_UNITS
    change = MetricChange(
        value=value,
        baseline=baseline,
        ci95=_difference_interval(a - b, labels, enough=enough, bounded=bounded),
        ratio=_ratio(value, baseline),
        ratio_ci95=None,
        prompts=int(both.sum()),
        by_prompt=a - b,
        sides=(a, b),
        no_interval="every prompt has the same difference" if enough else _TOO_FEW,
        no_ratio_interval="the baseline is 0 on a prompt" if enough else _TOO_FEW,
    )
    if bounded:
        return change
    ratio = _ratio_interval(a[both], b[both], units)
    return structs.replace(change, ratio_ci95=ratio)


def _difference_interval(
    differences: Floats, labels: Ints | None, *, enough: bool, bounded: bool
) -> _Ends | None:
    """The interval of a mean difference.

    Amounts that differ by the same on every prompt (0 where they are equal) differ by just that.
    Equal shares do not: their interval allows for prompts that were not asked.
    """
    known = differences[np.isfinite(differences)]
    if enough and not bounded and is_constant(known):
        middle = float(known.mean())
        return middle, middle
    return stats.difference_test(differences, clusters=labels, bounded=bounded).interval(0)


def _rate_change(joined: JoinedRuns, pair: SettingPair, metric: str) -> MetricChange | None:
    row = rate_difference(joined, pair, metric)
    if row is None:
        return None
    reason = (
        "every stretch of time has the same rate"
        if row.bounds is None
        else "a search gives bounds of verdicts"
    )
    return MetricChange(
        value=row.a,
        baseline=row.b,
        ci95=row.ci95,
        ratio=_ratio(row.a, row.b),
        ratio_ci95=row.ratio_ci95,
        prompts=row.n,
        no_interval=reason,
        no_ratio_interval=reason,
    )


def _ratio(value: float, baseline: float) -> float | None:
    if baseline > 0.0:
        return value / baseline
    return 1.0 if value == baseline else None


def _ratio_interval(a: Floats, b: Floats, labels: Ints | None) -> _Ends | None:
    """The interval of the ratio of two means over the same prompts, as of a ratio of sums.

    Amounts that follow from each other (tokens at a fixed price) have the same ratio on every
    prompt: then that ratio is known.
    """
    sums, counts = stats.unit_sums(a, labels)
    sizes, _ = stats.unit_sums(b, labels)
    scale = float(sizes.mean())
    if counts.size < stats.MIN_UNITS or scale <= 0.0:
        return (1.0, 1.0) if counts.size >= stats.MIN_UNITS and not sums.any() else None
    ratio = float(sums.sum()) / float(sizes.sum())
    if np.abs(sums - ratio * sizes).max() <= 1e-9 * float(np.abs(sums).max()):
        return ratio, ratio
    if (sizes <= 0.0).any():  # such units have no ratio of their own
        return None
    ends = stats.ratio_ci(sums, sizes / scale, scale="amount")
    return None if ends is None else (ends[0] / scale, ends[1] / scale)


def _percentile_change(
    joined: JoinedRuns, pair: SettingPair, metric: str, share: float, both: Bools
) -> MetricChange | None:
    prompts = np.flatnonzero(both)
    sides = [
        quantile
        for columns in (pair.compared, pair.baseline)
        for quantile in trial_quantiles(joined, metric, columns, prompts, [share])
    ]
    if len(sides) < 2:
        return None
    a, b = sides
    return MetricChange(
        value=a.value,
        baseline=b.value,
        ci95=stats.quantile_difference(a, b),
        ratio=_ratio(a.value, b.value),
        ratio_ci95=_quantile_ratio(a, b),
        prompts=len(prompts),
    )


def _quantile_ratio(a: stats.Quantile, b: stats.Quantile) -> _Ends | None:
    """The ratios r whose ``a - r b`` has an interval with 0 in it (Fieller's argument)."""
    if b.value <= 0.0 or a.ends is None or b.ends is None or b.ends[0] <= 0.0:
        return None

    def end(ratio: float, index: int) -> float:
        low, high = b.ends or (0.0, 0.0)
        scaled = b._replace(value=b.value * ratio, low=low * ratio, high=high * ratio)
        ends = stats.quantile_difference(a, scaled)
        return math.nan if ends is None else ends[index]

    middle = a.value / b.value
    farthest = 2.0 * a.ends[1] / b.ends[0] + 1.0
    return (
        _last_where(lambda r: end(r, 0) > 0.0, 0.0, middle),
        _last_where(lambda r: end(r, 1) >= 0.0, middle, farthest),
    )


def _last_where(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest number up to which something holds, between two."""
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
