"""Trends over an ordered axis: mean per-prompt slopes, and tests over all settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison_text import format_amount, p_text, stratum_text
from evalharness.analysis.comparison.matching import axis_value, ordered_columns, varying_axes
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import Floats, JoinedRuns, SettingColumn
from evalharness.analysis.data.json_values import interval, mean, number
from evalharness.analysis.data.metrics import AMOUNT_METRICS, METRICS


def trends(
    frames: RunFrame | Mapping[str, RunFrame],
    *,
    by: str,
    metrics: Sequence[str] = METRICS,
    seed: int = 0,
    draws: int = stats.DRAWS,
) -> list[dict[str, Any]]:
    """Fit a slope over a numeric axis to each prompt, and test its mean against 0.

    The slope is ordinary least squares over the settings of a stratum (everything else equal);
    prompts without a value at every setting are left out and counted. Its mean is tested by sign
    flips and carries a BCa interval, as a paired difference does.

    Returns:
        One dict a metric and stratum with at least three numeric values on the axis (an empty
        list when there is none): ``slope`` in metric units per unit of the axis, ``ci95``, ``p``,
        ``p_adjusted`` (Holm over the ``family`` of strata of the metric), ``n`` prompts used,
        ``dropped`` prompts, ``points`` ``[axis value, mean]``; ``page`` ``{z, p}`` for latency,
        tokens and cost (ranks mislead for shares); ``cochran_q`` ``{q, p}`` where every score is
        one pass or fail; ``sentence``.

    """
    joined = JoinedRuns.of({"": frames} if isinstance(frames, RunFrame) else frames)
    flips = stats.SignFlips(clusters=joined.clusters, seed=seed, draws=draws)
    collected = Trends(joined, [by], flips)
    collected.add_metrics(metrics, seed=seed)
    return collected.rows(flips.p())


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
        self._untested: dict[str, list[tuple[dict[str, Any], int]]] = {axis: [] for axis in axes}

    def add_metrics(self, metrics: Sequence[str] = METRICS, *, seed: int = 0) -> None:
        """Fit all slopes of some metrics; arguments as of :func:`trends`."""
        for by in self._axes:
            strata = ordered_columns(self._joined.columns, by)
            for metric in metrics if strata else ():
                values = self._joined.values(metric)
                for points, columns in strata:
                    table = values[:, [column.index for column in columns]]
                    if not np.isfinite(table).any():
                        continue
                    slope = slopes_over(np.array(points), table)
                    row = {
                        "metric": metric,
                        "by": by.removeprefix("params."),
                        "stratum": _stratum(columns, strata, by),
                        "slope": mean(slope),
                        "ci95": _interval(slope, self._joined, seed),
                        "points": [[at, mean(table[:, i])] for i, at in enumerate(points)],
                        **self._prompts_and_tests(metric, table, slope),
                    }
                    self._untested[by].append((row, self._flips.add(slope)))

    def _prompts_and_tests(self, metric: str, table: Floats, slope: Floats) -> dict[str, Any]:
        """The number of prompts of a slope, and the tests over all settings."""
        used = np.isfinite(slope)
        scored_once = (
            metric.startswith("score") and self._joined.repeats(metric).max(initial=0) == 1
        )
        return {
            "n": int(used.sum()),
            "dropped": int((np.isfinite(table).any(axis=1) & ~used).sum()),
            "page": _page(table) if metric in AMOUNT_METRICS else None,
            "cochran_q": _cochran(table) if scored_once else None,
        }

    def rows(self, p: Floats) -> list[dict[str, Any]]:
        """All rows, axis by axis; ``p`` are the p values of the sign flips."""
        for untested in self._untested.values():
            for row, column in untested:
                row["p"] = number(p[column])
            for metric in dict.fromkeys(row["metric"] for row, _ in untested):
                _adjust([row for row, _ in untested if row["metric"] == metric])
        return [row for untested in self._untested.values() for row, _ in untested]


def _adjust(rows: list[dict[str, Any]]) -> None:
    """Fill in ``p_adjusted`` over the strata of one metric, and the sentence."""
    raw = np.array([np.nan if row["p"] is None else row["p"] for row in rows])
    for row, value in zip(rows, stats.holm(raw)[0], strict=True):
        row["p_adjusted"] = number(value)
        row["family"] = int(np.isfinite(raw).sum())
        row["sentence"] = _sentence(row)


def slopes_over(points: Floats, table: Floats) -> Floats:
    """Return the least-squares slope of each row over ``points``; NaN where a value is missing."""
    centred = points - points.mean()
    # Without this, equal values would give a slope of 1e-15.
    change = table - table[:, :1]
    return change @ centred / float(centred @ centred)


def _interval(slope: Floats, joined: JoinedRuns, seed: int) -> list[float] | None:
    return interval(stats.mean_ci(slope, clusters=joined.clusters, scale="real", seed=seed))


def _page(table: Floats) -> dict[str, float] | None:
    result = stats.page_trend(table)
    return None if result is None else {"z": result[0], "p": result[1]}


def _cochran(table: Floats) -> dict[str, float] | None:
    if not np.isin(table[np.isfinite(table)], (0.0, 1.0)).all():
        return None
    result = stats.cochran_q(table)
    return None if result is None else {"q": result[0], "p": result[1]}


def _stratum(
    columns: list[SettingColumn], strata: list[tuple[list[float], list[SettingColumn]]], by: str
) -> dict[str, Any]:
    others = varying_axes([column for _, group in strata for column in group])
    first = columns[0]
    return {name: axis_value(first, name) for name in others if name != by.removeprefix("params.")}


def _sentence(row: dict[str, Any]) -> str:
    where = stratum_text(row["stratum"])
    head = f"{row['metric']} over {row['by']}" + (f" at {where}" if where else "")
    if row["slope"] is None:
        return f"{head}: no prompt has a value at every setting"
    ends = "interval not defined"
    if row["ci95"] is not None:
        ends = ", ".join(format_amount(end, row["metric"], sign=True) for end in row["ci95"])
    text = (
        f"{head}: {format_amount(row['slope'], row['metric'], sign=True)} per unit [{ends}], "
        f"{p_text(row['p'])}"
    )
    if row["family"] > 1:
        text += f" (adjusted for {row['family']}: {p_text(row['p_adjusted'])})"
    return f"{text} (n={row['n']}{_dropped_text(row['dropped'])})"


def _dropped_text(prompts: int) -> str:
    return f", {prompts} without a value at every setting left out" if prompts else ""
