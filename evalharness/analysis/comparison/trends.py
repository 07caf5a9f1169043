"""Trends over an ordered axis: mean per-prompt slopes, and tests over all settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison import at_least
from evalharness.analysis.comparison.comparison_text import trend_line
from evalharness.analysis.comparison.matching import axis_value, ordered_columns, varying_axes
from evalharness.analysis.comparison.trend import CochranTest, PageTest, Trend
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import Floats, JoinedRuns, SettingColumn
from evalharness.analysis.data.json_values import JsonValues, interval, mean, number
from evalharness.analysis.data.metrics import METRICS, is_amount


def trends(
    frames: RunFrame | Mapping[str, RunFrame],
    *,
    by: str,
    metrics: Sequence[str] = METRICS,
    seed: int = 0,
    draws: int = stats.DRAWS,
) -> list[Trend]:
    """Fit a slope over a numeric axis to each prompt, and test its mean against 0.

    The slope is ordinary least squares over the settings of a stratum (everything else equal);
    prompts without a value at every setting are left out and counted. Its mean is tested by sign
    flips, which give its interval, as a paired difference is.

    Returns:
        One a metric and stratum with at least three numeric values on the axis; none where there
        is no such stratum.

    """
    joined = JoinedRuns.of({"": frames} if isinstance(frames, RunFrame) else frames)
    flips = stats.SignFlips(clusters=joined.clusters, seed=seed, draws=draws)
    collected = Trends(joined, [by], flips)
    collected.add_metrics(metrics)
    return collected.rows(flips.tests())


class _AxisTable(NamedTuple):
    """A metric of all prompts × the settings of a stratum, in the order of the axis.

    ``points`` are the settings' values on the axis.
    """

    metric: str
    by: str
    stratum: JsonValues
    points: list[float]
    values: Floats


class _PendingTrend(NamedTuple):
    """A trend without its test, and its column among the sign flips."""

    row: Trend
    column: int
    units: stats.UnitDifferences


class Trends:
    """Collects slopes over some axes; they are tested all together.

    Args:
        joined: the runs.
        axes: the axes.
        flips: tests the collected slopes.
    """

    def __init__(self, joined: JoinedRuns, axes: Sequence[str], flips: stats.SignFlips) -> None:
        self._joined = joined
        self._axes = axes
        self._flips = flips
        self._pending: dict[str, list[_PendingTrend]] = {axis: [] for axis in axes}

    def add_metrics(self, metrics: Sequence[str] = METRICS) -> None:
        """Fit all slopes of some metrics; arguments as of :func:`trends`."""
        for by in self._axes:
            strata = ordered_columns(self._joined.columns, by)
            for metric in metrics if strata else ():
                values = self._joined.values(metric)
                for points, columns in strata:
                    table = _AxisTable(
                        metric=metric,
                        by=by.removeprefix("params."),
                        stratum=_stratum(columns, strata, by),
                        points=points,
                        values=values[:, [column.index for column in columns]],
                    )
                    if np.isfinite(table.values).any():
                        self._pending[by].append(self._fit(table))

    def _fit(self, table: _AxisTable) -> _PendingTrend:
        """Fit the slopes of one table, and have their mean tested."""
        metric, values = table.metric, table.values
        slope = slopes_over(np.array(table.points), values)
        known = np.isfinite(slope)
        scored_once = (
            metric.startswith("score") and self._joined.repeats(metric).max(initial=0) == 1
        )
        row = Trend(
            metric=metric,
            by=table.by,
            stratum=table.stratum,
            slope=mean(slope),
            ci95=None,
            points=[(at, mean(values[:, i])) for i, at in enumerate(table.points)],
            n=int(known.sum()),
            dropped=int((np.isfinite(values).any(axis=1) & ~known).sum()),
            page=_page(values) if is_amount(metric) else None,
            cochran_q=_cochran(values) if scored_once else None,
        )
        column = self._flips.add(slope, bounded=False)
        return _PendingTrend(row, column, self._flips.units_of(slope))

    def headline_columns(self) -> list[stats.UnitDifferences]:
        """The slopes by unit, all of which may be in the headline of a report."""
        return [trend.units for pending in self._pending.values() for trend in pending]

    def rows(self, tests: stats.FlipTests, headline: Sequence[float] | None = None) -> list[Trend]:
        """All rows, axis by axis; arguments as of :meth:`.compare.Comparisons.rows`."""
        rows = [row for pending in self._pending.values() for row in _finish_trends(pending, tests)]
        if headline is None:
            return rows
        return [
            msgspec.structs.replace(row, p_headline=at_least(row.p, p))
            for row, p in zip(rows, headline, strict=True)
        ]


def _finish_trends(pending: Sequence[_PendingTrend], tests: stats.FlipTests) -> list[Trend]:
    """The trends along one axis with their tests, adjusted over the strata of each metric."""
    families: dict[str, list[int]] = {}
    for index, trend in enumerate(pending):
        families.setdefault(trend.row.metric, []).append(index)
    rows = [trend.row for trend in pending]
    for indices in families.values():
        raw = tests.p[[pending[i].column for i in indices]]
        family = int(np.isfinite(raw).sum())
        for i, value, adjusted in zip(indices, raw, stats.holm(raw)[0], strict=True):
            row = msgspec.structs.replace(
                rows[i],
                p=number(value),
                p_adjusted=number(adjusted),
                family=family,
                ci95=interval(tests.interval(pending[i].column)),
            )
            rows[i] = msgspec.structs.replace(row, sentence=trend_line(row))
    return rows


def slopes_over(points: Floats, table: Floats) -> Floats:
    """Return the least-squares slope of each row over ``points``; NaN where a value is missing."""
    centred = points - points.mean()
    # Without this, equal values would give a slope of 1e-15.
    change = table - table[:, :1]
    return change @ centred / float(centred @ centred)


def _page(table: Floats) -> PageTest | None:
    result = stats.page_trend(table)
    return None if result is None else PageTest(result[0], result[1])


def _cochran(table: Floats) -> CochranTest | None:
    if not np.isin(table[np.isfinite(table)], (0.0, 1.0)).all():
        return None
    result = stats.cochran_q(table)
    return None if result is None else CochranTest(result[0], result[1])


def _stratum(
    columns: list[SettingColumn], strata: list[tuple[list[float], list[SettingColumn]]], by: str
) -> JsonValues:
    others = varying_axes([column for _, group in strata for column in group])
    first = columns[0]
    return {name: axis_value(first, name) for name in others if name != by.removeprefix("params.")}
