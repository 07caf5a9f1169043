"""The figures of one comparison, before the tests that are made for all of them together."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison import (
    Comparison,
    DiscordantPrompts,
    Equivalence,
    MeanRatio,
    MissingShares,
    StrictDifference,
    UnmatchedPrompts,
)
from evalharness.analysis.comparison.matching import SettingPair
from evalharness.analysis.comparison.paired_metric import PairedMetric, joined_sides
from evalharness.analysis.comparison.percentiles import Percentiles
from evalharness.analysis.data.join_runs import Floats, Ints, JoinedRuns, SettingColumn
from evalharness.analysis.data.json_values import mean
from evalharness.analysis.data.metrics import is_amount

_TRIAL_METRICS = ("latency_s", "ttft_s", "tpot_s", "completion_tokens")


class MetricContext(NamedTuple):
    """What the comparisons in a metric share."""

    joined: JoinedRuns
    percentiles: Percentiles
    margin: float | None

    def equivalence(self, paired: PairedMetric) -> Equivalence | None:
        """Test shares for being equal within the margin, where there is one."""
        if self.margin is None or is_amount(paired.metric.name):
            return None
        p = stats.tost(paired.differences, self.margin, clusters=self.joined.clusters)
        return Equivalence(self.margin, p)


class _Detectable(NamedTuple):
    """The smallest difference detected with 80 % chance, and what it is from."""

    mde: float | None
    mde_from: Literal["spread", "bound", "none"] | None

    @classmethod
    def of(cls, mde: float | None, source: Literal["spread", "bound"]) -> _Detectable:
        """From a spread or a bound; None is that no difference is detected."""
        return cls(None, "none") if mde is None else cls(mde, source)


class UntestedRow(NamedTuple):
    """A comparison without p values and intervals, and what the sign flips are to test.

    Attributes:
        row: the comparison; its p is known where it was tested by McNemar's.
        differences: of the metric, one a prompt.
        missing: differences of the shares of missing values, one a prompt.
        strict: differences with errors as failures, one a prompt; None where none is counted so.
        log_ratios: of amounts, NaN where a side is not positive; None for other metrics.
    """

    row: Comparison
    differences: Floats
    missing: Floats
    strict: Floats | None
    log_ratios: Floats | None


def untested_row(by: str, paired: PairedMetric, context: MetricContext) -> UntestedRow:
    """Compare the two sides of a pair in a metric."""
    pair, metric, clusters = paired.pair, paired.metric.name, context.joined.clusters
    p, test, discordant = None, "sign-flip permutation", paired.discordant()
    if clusters is not None:
        test, discordant = "sign-flip permutation of clusters", None
    elif discordant is not None:
        p, test = stats.mcnemar_mid_p(*discordant), "McNemar mid-p"
    detectable = _detectable_difference(paired, clusters)
    wins, losses, ties = paired.tally()
    missing_a, missing_b = joined_sides(paired.metric.missing, pair)
    strict = _strict_differences(paired)
    log_ratios = _log_ratios(paired) if is_amount(metric) else None
    row = Comparison(
        metric=metric,
        **pair_fields(pair, by),
        difference=mean(paired.differences),
        ci95=None,
        p=p,
        test=test,
        n=paired.n,
        repeats=(paired.repeats(pair.compared), paired.repeats(pair.baseline)),
        mde=detectable.mde,
        mde_from=detectable.mde_from,
        a_mean=mean(paired.a),
        b_mean=mean(paired.b),
        wins=wins,
        losses=losses,
        ties=ties,
        correlation=paired.correlation(),
        mcnemar=None if discordant is None else DiscordantPrompts(*discordant),
        unmatched=UnmatchedPrompts(*paired.unmatched()),
        ratio=None if log_ratios is None else _ratio(log_ratios),
        percentiles=context.percentiles.compare(paired) if metric in _TRIAL_METRICS else None,
        missing=MissingShares(a=mean(missing_a), b=mean(missing_b)),
        errors_as_failures=None
        if strict is None
        else StrictDifference(difference=mean(strict), ci95=None),
        equivalence=context.equivalence(paired),
    )
    return UntestedRow(row, paired.differences, missing_a - missing_b, strict, log_ratios)


def pair_fields(pair: SettingPair, by: str) -> dict[str, Any]:
    """The fields of a comparison along an axis that name its two sides, whatever is compared."""
    return {
        "by": by,
        **_side_fields("a", by, pair.compared, pair.value, pooled=pair.pooled),
        **_side_fields("b", by, pair.baseline, pair.baseline_value, pooled=pair.pooled),
        "pooled": pair.pooled,
        "stratum": pair.stratum,
        "also_differs": pair.also_differs(by),
    }


def _side_fields(
    side: str, by: str, columns: tuple[SettingColumn, ...], value: Any, *, pooled: bool
) -> dict[str, Any]:
    """The fields of a side; a pooled one is called by its value on the axis."""
    first, shown = columns[0], f"{by}={'null' if value is None else value}"
    return {
        side: shown if pooled else first.setting_id,
        f"{side}_label": shown if pooled else first.label,
        f"{side}_value": value,
        f"{side}_settings": [column.setting_id for column in columns],
        f"{side}_run": first.run or None,
    }


def _strict_differences(paired: PairedMetric) -> Floats | None:
    values = paired.metric.errors_as_failures
    if values is None:
        return None
    a, b = joined_sides(values, paired.pair)
    return a - b


def _log_ratios(paired: PairedMetric) -> Floats:
    """Logarithms of a over b, NaN where a side is unknown or not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(paired.a) - np.log(paired.b)
    return np.where(np.isfinite(logs), logs, np.nan)


def _ratio(log_ratios: Floats) -> MeanRatio | None:
    """The geometric mean ratio of the sides, for quantities that differ by factors."""
    middle = mean(log_ratios)
    if middle is None:
        return None
    return MeanRatio(math.exp(middle), None, int(np.isfinite(log_ratios).sum()))


def _detectable_difference(paired: PairedMetric, clusters: Ints | None) -> _Detectable:
    """The smallest difference detected with 80 % chance, and what it is from.

    Differences that are all equal show no spread. For shares the spread still has an upper bound,
    for seconds, tokens and dollars it has none.
    """
    labels = None if clusters is None else clusters[paired.joined]
    differences = paired.differences[paired.joined]
    if not differences.size:
        return _Detectable(None, None)
    sums, sizes = stats.unit_sums(differences, labels)
    if sums.size < stats.MIN_UNITS - (paired.discordant() is not None and labels is None):
        return _Detectable(None, "none")
    if labels is None and paired.discordant() is not None:
        return _detectable_by_mcnemar(paired)
    spread = stats.standard_error(differences, labels)
    if spread is not None:
        growth, most = paired.variance_growth()
        return _Detectable.of(stats.detectable_mean(spread, sums, growth, most), "spread")
    if is_amount(paired.metric.name):
        return _Detectable(None, None)
    error = stats.bound_standard_error(float(differences.mean()), stats.effective_units(sizes))
    mde = stats.detectable(error, sums.size, sums.size - 1.0)
    return _Detectable.of(None if mde is None or mde > 1.0 else mde, "bound")


def _detectable_by_mcnemar(paired: PairedMetric) -> _Detectable:
    """As :func:`_detectable_difference`, of one pass/fail outcome a side."""
    differences = paired.differences[paired.joined]
    n, mean_difference = differences.size, float(differences.mean())
    variance = float(np.mean(differences**2)) - mean_difference**2
    if variance > 1e-12:
        growth, most = paired.variance_growth()
        return _Detectable.of(stats.mcnemar_detectable(variance, n, growth, most), "spread")
    error = stats.bound_standard_error(mean_difference, n)
    mde = stats.mcnemar_detectable(error**2 * n, n, stats.no_growth, 1.0)
    return _Detectable.of(mde, "bound")
