"""Paired comparisons: each setting against its counterpart at a baseline value.

The prompt (or its ``cluster``) is the statistical unit; repeats are averaged first. Settings are
paired as in :mod:`.matching`; where other axes vary too, each stratum is compared on its own
and, first in the list, averaged over the matched strata. A *family*, over which p values are
adjusted, is all pooled comparisons of a metric, or all within strata: Holm up to 20 of them,
Benjamini-Hochberg beyond (such a grid explores; it does not confirm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison import SIGNIFICANCE_LEVEL, Comparison
from evalharness.analysis.comparison.comparison_rows import MetricContext, untested_row
from evalharness.analysis.comparison.comparison_text import comparison_line
from evalharness.analysis.comparison.matching import RUN, SettingPair, find_pairs
from evalharness.analysis.comparison.paired_metric import MetricMatrix, PairedMetric
from evalharness.analysis.comparison.percentiles import Percentiles
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import Floats, JoinedRuns
from evalharness.analysis.data.json_values import number
from evalharness.analysis.data.metrics import METRICS

HOLM_UP_TO = 20


def compare(
    frames: RunFrame | Mapping[str, RunFrame],
    *,
    by: str,
    baseline: Any = None,
    metrics: Sequence[str] = METRICS,
    margin: float | None = None,
    seed: int = 0,
    draws: int = stats.DRAWS,
) -> list[Comparison]:
    """Compare settings that differ in one axis, paired by prompt.

    Args:
        frames: one run, or runs by name (joined by ``prompt_id``).
        by: the axis: a parameter, ``provider``, ``model``, ``system``, ``template`` or ``run``.
        baseline: the value to compare with; None takes the lowest number or the first value,
            ``"null"`` is "not sent".
        metrics: names as in :data:`~evalharness.analysis.data.metrics.METRICS`, or ``score.NAME``;
            those without any value are left out.
        margin: when given, shares are also tested for equivalence within ± this much (0.02: 2 pp).
        seed: of permutations and resampling: equal seeds give equal bits.
        draws: sign patterns where not all can be enumerated.

    Returns:
        The comparisons, metric by metric, pooled ones before those within strata.

    Raises:
        ConfigError: the axis does not vary, or nothing has the baseline value.

    """
    joined = JoinedRuns.of({"": frames} if isinstance(frames, RunFrame) else frames)
    flips = stats.SignFlips(clusters=joined.clusters, seed=seed, draws=draws)
    comparisons = Comparisons(joined, {by: find_pairs(joined.columns, by, baseline)}, flips)
    comparisons.add_metrics(metrics, margin=margin, seed=seed)
    return comparisons.rows(flips.p())


def compare_runs(
    frames: Mapping[str, RunFrame], *, baseline: str | None = None, **options: Any
) -> list[Comparison]:
    """Compare runs with each other, setting by setting: yesterday against today.

    Settings with the same parameters are paired; runs with a single setting each are compared
    whatever these are. ``baseline`` names a run, the first one by default; options as
    in :func:`compare`.
    """
    first = next(iter(frames))
    return compare(frames, by=RUN, baseline=first if baseline is None else baseline, **options)


class _PendingRow(NamedTuple):
    """A comparison without its p values, and their columns among the sign flips.

    ``p`` is None where the row has a p value already (McNemar), ``errors_as_failures`` where no
    error is counted as 0.
    """

    row: Comparison
    p: int | None
    missing: int
    errors_as_failures: int | None


class Comparisons:
    """Collects comparisons along some axes, metric by metric; they are tested all together.

    Args:
        joined: the runs.
        pairs: what to compare, by axis.
        flips: tests the collected differences.
    """

    def __init__(
        self, joined: JoinedRuns, pairs: Mapping[str, Sequence[SettingPair]], flips: stats.SignFlips
    ) -> None:
        self._joined = joined
        self._pairs = pairs
        self._flips = flips
        self._pending: dict[str, list[_PendingRow]] = {axis: [] for axis in pairs}

    def add_metrics(
        self, metrics: Sequence[str] = METRICS, *, margin: float | None = None, seed: int = 0
    ) -> None:
        """Add the comparisons in some metrics; arguments as of :func:`compare`."""
        for metric in metrics:
            # The matrices of one metric are freed before those of the next.
            matrix = MetricMatrix.of(self._joined, metric)
            if matrix is None:
                continue
            context = MetricContext(self._joined, Percentiles(self._joined, metric), margin, seed)
            for axis, pairs in self._pairs.items():
                for pair in pairs:
                    paired = PairedMetric.of(pair, matrix)
                    self._pending[axis].append(self._compare_pair(axis, paired, context))

    def _compare_pair(self, axis: str, paired: PairedMetric, context: MetricContext) -> _PendingRow:
        untested = untested_row(axis.removeprefix("params."), paired, context)
        strict = None if untested.strict is None else self._flips.add(untested.strict)
        p = None if untested.row.mcnemar is not None else self._flips.add(paired.differences)
        return _PendingRow(untested.row, p, self._flips.add(untested.missing), strict)

    def rows(self, p: Floats) -> list[Comparison]:
        """All rows, axis by axis; ``p`` are the p values of the sign flips."""
        return [row for pending in self._pending.values() for row in _finish_rows(pending, p)]


def _finish_rows(pending: Sequence[_PendingRow], p: Floats) -> list[Comparison]:
    """The comparisons along one axis with their p values and sentences."""
    rows = _adjust([_with_p_values(comparison, p) for comparison in pending])
    return [msgspec.structs.replace(row, sentence=comparison_line(row)) for row in rows]


def _with_p_values(pending: _PendingRow, p: Floats) -> Comparison:
    row, missing, strict = pending.row, number(p[pending.missing]), pending.row.errors_as_failures
    if strict is not None and pending.errors_as_failures is not None:
        strict = msgspec.structs.replace(strict, p=number(p[pending.errors_as_failures]))
    differs = missing is not None and missing < SIGNIFICANCE_LEVEL
    return msgspec.structs.replace(
        row,
        p=row.p if pending.p is None else number(p[pending.p]),
        missing=msgspec.structs.replace(row.missing, p=missing, differs=differs),
        errors_as_failures=strict,
    )


def _adjust(rows: Sequence[Comparison]) -> list[Comparison]:
    """The rows with ``p_adjusted``, ``family`` and ``adjustment``, in their order."""
    families: dict[tuple[str, bool], list[int]] = {}
    for index, row in enumerate(rows):
        families.setdefault((row.metric, row.pooled), []).append(index)
    adjusted = list(rows)
    for indices in families.values():
        p = np.array([np.nan if rows[i].p is None else rows[i].p for i in indices])
        few = len(indices) <= HOLM_UP_TO
        values, _ = (stats.holm if few else stats.benjamini_hochberg)(p)
        for index, value in zip(indices, values, strict=True):
            adjusted[index] = msgspec.structs.replace(
                rows[index],
                p_adjusted=number(value),
                adjustment="holm" if few else "benjamini-hochberg",
                family=int(np.isfinite(p).sum()),
            )
    return adjusted
