"""The figures of one comparison, before the tests that are made for all of them together."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

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
from evalharness.analysis.data.json_values import interval, mean
from evalharness.analysis.data.metrics import AMOUNT_METRICS

_TRIAL_METRICS = ("latency_s", "completion_tokens")


class MetricContext(NamedTuple):
    """What the comparisons in a metric share."""

    joined: JoinedRuns
    percentiles: Percentiles
    margin: float | None
    seed: int

    def ci(self, differences: Floats, metric: str) -> list[float] | None:
        """Return the interval of a mean difference."""
        scale = "real" if metric in AMOUNT_METRICS else "difference"
        return interval(
            stats.mean_ci(differences, clusters=self.joined.clusters, scale=scale, seed=self.seed)
        )

    def ratio(self, paired: PairedMetric) -> MeanRatio | None:
        """Return the geometric mean ratio of the sides."""
        result = stats.geometric_mean_ratio(
            paired.a, paired.b, clusters=self.joined.clusters, seed=self.seed
        )
        if result is None:
            return None
        value, ends, n = result
        return MeanRatio(value, interval(ends), n)

    def equivalence(self, paired: PairedMetric) -> Equivalence | None:
        """Test shares for being equal within the margin, where there is one."""
        if self.margin is None or paired.metric.name in AMOUNT_METRICS:
            return None
        p = stats.tost(paired.differences, self.margin, clusters=self.joined.clusters)
        return Equivalence(self.margin, p)


class _SideNames(NamedTuple):
    """How a side of a comparison is called."""

    name: str
    label: str
    setting_ids: list[str]
    run: str | None

    @classmethod
    def of(
        cls, by: str, columns: tuple[SettingColumn, ...], value: Any, *, pooled: bool
    ) -> _SideNames:
        first, shown = columns[0], f"{by}={'null' if value is None else value}"
        return cls(
            name=shown if pooled else first.setting_id,
            label=shown if pooled else first.label,
            setting_ids=[column.setting_id for column in columns],
            run=first.run or None,
        )


class _Detectable(NamedTuple):
    """The smallest difference detected with 80 % power, from a spread or a bound."""

    mde: float | None
    mde_from: Literal["spread", "bound"] | None


class UntestedRow(NamedTuple):
    """A comparison without the p values of the sign flips, and what these are to test.

    Attributes:
        row: the comparison; its p is known where it was tested by McNemar's.
        missing: differences of the shares of missing values, one a prompt.
        strict: differences with errors as failures, one a prompt; None where none is counted so.
    """

    row: Comparison
    missing: Floats
    strict: Floats | None


def untested_row(by: str, paired: PairedMetric, context: MetricContext) -> UntestedRow:
    """Compare the two sides of a pair in a metric."""
    pair, metric, clusters = paired.pair, paired.metric.name, context.joined.clusters
    p, test, discordant = None, "sign-flip permutation", paired.discordant()
    if clusters is not None:
        test, discordant = "sign-flip permutation of clusters", None
    elif discordant is not None:
        p, test = stats.mcnemar_mid_p(*discordant), "McNemar mid-p"
    a, b = _both_sides(pair, by)
    detectable = _detectable_difference(paired, clusters)
    wins, losses, ties = paired.tally()
    missing_a, missing_b = joined_sides(paired.metric.missing, pair)
    strict = _strict_differences(paired)
    row = Comparison(
        metric=metric,
        by=by,
        a=a.name,
        a_label=a.label,
        a_value=pair.value,
        a_settings=a.setting_ids,
        a_run=a.run,
        b=b.name,
        b_label=b.label,
        b_value=pair.baseline_value,
        b_settings=b.setting_ids,
        b_run=b.run,
        pooled=pair.pooled,
        stratum=pair.stratum,
        also_differs=pair.also_differs(by),
        difference=mean(paired.differences),
        ci95=context.ci(paired.differences, metric),
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
        ratio=context.ratio(paired) if metric in AMOUNT_METRICS else None,
        percentiles=context.percentiles.compare(paired) if metric in _TRIAL_METRICS else None,
        missing=MissingShares(a=mean(missing_a), b=mean(missing_b)),
        errors_as_failures=None if strict is None else _strict(strict, metric, context),
        equivalence=context.equivalence(paired),
    )
    return UntestedRow(row, missing_a - missing_b, strict)


def _both_sides(pair: SettingPair, by: str) -> tuple[_SideNames, _SideNames]:
    return (
        _SideNames.of(by, pair.compared, pair.value, pooled=pair.pooled),
        _SideNames.of(by, pair.baseline, pair.baseline_value, pooled=pair.pooled),
    )


def _strict_differences(paired: PairedMetric) -> Floats | None:
    values = paired.metric.errors_as_failures
    if values is None:
        return None
    a, b = joined_sides(values, paired.pair)
    return a - b


def _strict(differences: Floats, metric: str, context: MetricContext) -> StrictDifference:
    return StrictDifference(difference=mean(differences), ci95=context.ci(differences, metric))


def _detectable_difference(paired: PairedMetric, clusters: Ints | None) -> _Detectable:
    """The smallest difference detected with 80 % power, and whether it is from a spread or a bound.

    Differences that are all equal show no spread. For shares the spread still has an upper bound,
    for seconds, tokens and dollars it has none.
    """
    spread = stats.standard_error(paired.differences, clusters)
    if spread is not None:
        return _Detectable(stats.detectable(spread[1]), "spread")
    bound = None
    if paired.metric.name not in AMOUNT_METRICS:
        bound = stats.max_standard_error(paired.differences, clusters)
    if bound is None:
        return _Detectable(None, None)
    return _Detectable(stats.detectable(bound), "bound")
