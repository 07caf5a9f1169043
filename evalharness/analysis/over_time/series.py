"""Series of a metric over runs in the order of time, with a verdict on change.

The family over which p values are adjusted (Holm) is every series of the call, so that a quiet
month has one alarm in twenty at most, however many settings and metrics are watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.metrics import ERROR_SHARE
from evalharness.analysis.over_time.run_figures import (
    FIRST_LOGPROB,
    METRICS,
    RunFigures,
    values_by_prompt,
)

Verdict = Literal["changed", "no change shown", "too few runs", "nothing to compare"]

_LOG_METRICS = ("latency_s", "ttft_s", "completion_tokens", "cost_usd")
_UNBOUNDED = (*_LOG_METRICS, FIRST_LOGPROB)
_RANK_METRICS = ("latency_s", "ttft_s")  # a single slow run is no change


class TrendPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a series.

    Attributes:
        run: its name.
        date: when its first request was sent, UTC.
        value: mean over its prompts.
        ci95: ``[low, high]`` of it over prompts or clusters; null where it is undefined.
        prompts: prompts with a value.
    """

    run: str
    date: str
    value: float
    ci95: list[float] | None
    prompts: int


class TrendChange(msgspec.Struct, frozen=True, kw_only=True):
    """The likeliest change of a series: runs from ``run`` on against those before.

    Attributes:
        run: the first run after it.
        date: of that run.
        before, after: mean over the prompts that both sides have.
        difference: after minus before.
        ci95: ``[low, high]`` of it over prompts or clusters, as if the place of the change had been
            known; null where it is undefined.
        prompts: prompts with values on both sides.
    """

    run: str
    date: str
    before: float
    after: float
    difference: float
    ci95: list[float] | None
    prompts: int


class TrendSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a setting over time.

    Attributes:
        metric: its name; ``same_text_across`` is the chance of the text of the reference run,
            ``first_token_logprob_across`` the mean natural logarithm of the probability of its
            first token, at least -20 and at most 0.
        label: of the setting, as in the newest run.
        points: in the order of time.
        verdict: ``changed`` where ``p_adjusted`` is below .05; ``too few runs``: fewer than five;
            ``nothing to compare``: fewer than two prompts have a value in two runs.
        p: chance of such a split where nothing changes, looks after each of 30 runs included; null
            where it is undefined.
        p_adjusted: the same for all series together (Holm).
        change: the likeliest one, shown or not; null where ``p`` is.
    """

    metric: str
    label: str
    points: list[TrendPoint]
    verdict: Verdict
    p: float | None
    p_adjusted: float | None
    change: TrendChange | None


def trend_series(runs: Sequence[RunFigures], metrics: Sequence[str] = METRICS) -> list[TrendSeries]:
    """The series of each metric and setting that two or more runs have, tested together.

    Where no two runs share any, those of each run alone, which are figures without a verdict.

    Args:
        runs: in any order.
        metrics: which; ``error_share`` is one only where a trial failed.
    """
    runs = sorted(_with_one_key(runs), key=lambda run: (run.at, run.run))
    labels: dict[str, str] = {}
    for run in runs:
        labels |= run.settings
    if not any(np.nansum(run.values.get(ERROR_SHARE, 0.0)) for run in runs):
        metrics = [metric for metric in metrics if metric != ERROR_SHARE]
    owners = [
        (own, metric, key, label)
        for metric in metrics
        for key, label in labels.items()
        if (own := [run for run in runs if _has_values(run, metric, key)])
    ]
    shared = [each for each in owners if len(each[0]) >= 2]
    series = [_series(*each) for each in shared or owners]
    adjusted, _ = stats.holm([np.nan if s.p is None else s.p for s in series])
    return [_with_verdict(s, float(p)) for s, p in zip(series, adjusted, strict=True)]


def _with_one_key(runs: Sequence[RunFigures]) -> list[RunFigures]:
    """Runs of a single setting each are one series, whatever these settings are."""
    if any(len(run.settings) != 1 for run in runs):
        return list(runs)
    return [run._replace(settings={"": next(iter(run.settings.values()))}) for run in runs]


def _has_values(run: RunFigures, metric: str, key: str) -> bool:
    if key not in run.settings or metric not in run.values:
        return False
    return not np.isnan(run.values[metric][:, list(run.settings).index(key)]).all()


def _series(runs: Sequence[RunFigures], metric: str, key: str, label: str) -> TrendSeries:
    row_of: dict[str, int] = {}
    cluster_of: dict[str, str] = {}
    for run in runs:
        for index, prompt in enumerate(run.prompts):
            row_of.setdefault(prompt, len(row_of))
            cluster = prompt if run.clusters is None else run.clusters[index]
            cluster_of.setdefault(prompt, cluster)
    table = np.full((len(row_of), len(runs)), np.nan)
    for column, run in enumerate(runs):
        rows, values = values_by_prompt(run, metric, key, row_of)
        table[rows, column] = values
    clustered = any(run.clusters is not None for run in runs)
    clusters = np.unique(list(cluster_of.values()), return_inverse=True)[1] if clustered else None
    points = [_point(run, metric, table[:, i], clusters) for i, run in enumerate(runs)]
    tested = stats.change_test(_scaled(metric, table), clusters, by_rank=metric in _RANK_METRICS)
    change = None if tested is None else _change(points, metric, table, clusters, tested.first)
    verdict: Verdict = "too few runs" if len(runs) < stats.MIN_RUNS else "nothing to compare"
    return TrendSeries(
        metric=metric,
        label=label,
        points=points,
        verdict=verdict if change is None else "no change shown",
        p=None if tested is None or change is None else tested.p,
        p_adjusted=None,
        change=change,
    )


def _scaled(metric: str, table: Floats) -> Floats:
    """Amounts as logarithms, where all are above 0."""
    if metric not in _LOG_METRICS or np.nanmin(table) <= 0:
        return table
    return np.log(table)


def _point(run: RunFigures, metric: str, values: Floats, clusters: Any) -> TrendPoint:
    value = json_values.mean(values)
    assert value is not None
    return TrendPoint(
        run=run.run,
        date=datetime.fromtimestamp(run.at, UTC).isoformat(timespec="seconds"),
        value=value,
        ci95=_interval(metric, values, clusters),
        prompts=int((~np.isnan(values)).sum()),
    )


def _interval(metric: str, values: Floats, clusters: Any) -> list[float] | None:
    if metric == FIRST_LOGPROB:  # amounts of the other sign
        ends = json_values.amount_interval(-values, clusters)
        return None if ends is None else [-ends[1], -ends[0]]
    if metric in _LOG_METRICS:
        return json_values.amount_interval(values, clusters)
    return json_values.share_interval(values, clusters)


def _change(
    points: Sequence[TrendPoint], metric: str, table: Floats, clusters: Any, first: int
) -> TrendChange | None:
    """The levels on both sides of a run; None where no prompt is on both."""
    before, after = _row_means(table[:, :first]), _row_means(table[:, first:])
    both = ~np.isnan(before) & ~np.isnan(after)
    if not both.any():
        return None
    difference = after - before
    tests = stats.difference_test(difference, clusters=clusters, bounded=metric not in _UNBOUNDED)
    return TrendChange(
        run=points[first].run,
        date=points[first].date,
        before=float(before[both].mean()),
        after=float(after[both].mean()),
        difference=float(difference[both].mean()),
        ci95=json_values.interval(tests.interval(0)),
        prompts=int(both.sum()),
    )


def _row_means(table: Floats) -> Floats:
    known = ~np.isnan(table)
    counts = known.sum(axis=1)
    sums = np.where(known, table, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _with_verdict(series: TrendSeries, p_adjusted: float) -> TrendSeries:
    if series.p is None:
        return series
    return msgspec.structs.replace(
        series,
        p_adjusted=p_adjusted,
        verdict="changed" if p_adjusted < stats.ALPHA else "no change shown",
    )
