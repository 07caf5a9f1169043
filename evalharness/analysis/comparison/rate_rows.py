"""Comparisons of rates of load points, as rows beside those that are paired by prompt."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.comparison.comparison import (
    Comparison,
    MeanRatio,
    MissingShares,
    UnmatchedPrompts,
)
from evalharness.analysis.comparison.comparison_rows import pair_fields
from evalharness.analysis.comparison.matching import SettingPair
from evalharness.analysis.comparison.rate_difference import rate_difference
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.data.json_values import interval
from evalharness.analysis.data.metrics import RATE_METRICS

_SEARCHED = "bounds of verdicts, no test"
_WELCH = "Welch's t over stretches of time"


def rate_rows(
    joined: JoinedRuns, by: str, pairs: Sequence[SettingPair], metrics: Sequence[str]
) -> list[Comparison]:
    """One row a rate among the metrics and pair that has it on both sides; p is not adjusted."""
    rows: list[Comparison] = []
    for metric in metrics:
        if metric in RATE_METRICS:
            compared = (_row(joined, by, pair, metric) for pair in pairs)
            rows += [row for row in compared if row is not None]
    return rows


def _row(joined: JoinedRuns, by: str, pair: SettingPair, metric: str) -> Comparison | None:
    change = rate_difference(joined, pair, metric)
    if change is None:
        return None
    searched = change.bounds is not None
    ratio_ci95 = None if change.ratio_ci95 is None else interval(change.ratio_ci95)
    return Comparison(
        unit="search" if searched else "time",
        metric=metric,
        **pair_fields(pair, by),
        difference=change.difference,
        ci95=None if change.ci95 is None else interval(change.ci95),
        p=change.p,
        test=_SEARCHED if searched else _WELCH,
        n=change.n,
        repeats=None,
        mde=change.mde,
        mde_from=None if change.mde is None else "spread",
        a_mean=change.a,
        b_mean=change.b,
        wins=None,
        losses=None,
        ties=None,
        correlation=None,
        mcnemar=None,
        unmatched=UnmatchedPrompts(0, 0),
        ratio=None if change.ratio is None else MeanRatio(change.ratio, ratio_ci95, change.n),
        percentiles=None,
        missing=MissingShares(a=None, b=None),
        errors_as_failures=None,
        equivalence=None,
        counted=None if change.counted is None else list(change.counted),
        bounds=None if change.bounds is None else list(change.bounds),
    )
