"""Medians and 95th percentiles over the trials of the two sides of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison import PercentileDifference
from evalharness.analysis.comparison.paired_metric import PairedMetric
from evalharness.analysis.data.join_runs import Ints, JoinedRuns, SettingColumn
from evalharness.analysis.data.json_values import interval

_SHARES = {"p50": 0.5, "p95": 0.95}
_Side = list[stats.Quantile]


class Percentiles:
    """Compares percentiles of one metric; a side that occurs in several pairs is sorted once."""

    def __init__(self, joined: JoinedRuns, metric: str) -> None:
        self._joined = joined
        self._metric = metric
        self._sides: dict[tuple[tuple[int, ...], bytes], _Side] = {}

    def compare(self, paired: PairedMetric) -> dict[str, PercentileDifference]:
        """Compare ``p50`` and ``p95`` over the trials of the joined prompts; empty without any."""
        prompts = np.flatnonzero(paired.joined)
        key = np.packbits(paired.joined).tobytes()
        a, b = (
            self._side(columns, prompts, key)
            for columns in (paired.pair.compared, paired.pair.baseline)
        )
        return {
            name: PercentileDifference(
                top.value,
                base.value,
                top.value - base.value,
                interval(stats.quantile_difference(top, base)),
            )
            for name, top, base in zip(_SHARES, a, b, strict=False)
        }

    def _side(self, columns: tuple[SettingColumn, ...], prompts: Ints, key: bytes) -> _Side:
        side_key = tuple(column.index for column in columns), key
        if side_key not in self._sides:
            self._sides[side_key] = trial_quantiles(
                self._joined, self._metric, columns, prompts, tuple(_SHARES.values())
            )
        return self._sides[side_key]


def trial_quantiles(
    joined: JoinedRuns,
    metric: str,
    columns: tuple[SettingColumn, ...],
    prompts: Ints,
    shares: Sequence[float],
) -> list[stats.Quantile]:
    """Quantiles of a metric over the trials of one side, of the given joined prompts alone.

    The prompt, or its cluster, is taken as independent. Empty where no trial has a value.
    """
    clusters = joined.clusters
    labels = prompts if clusters is None else clusters[prompts]
    codes = np.zeros(len(joined.prompt_ids), np.int64)
    distinct, codes[prompts] = np.unique(labels, return_inverse=True)
    values, rows = joined.observations(metric, columns, prompts)
    return stats.quantiles(values, codes[rows], len(distinct), shares)
