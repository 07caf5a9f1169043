"""Paired comparisons: each setting against its counterpart at a baseline value.

The prompt (or its ``cluster``) is the statistical unit; repeats are averaged first. Settings are
paired as in :mod:`.matching`; where other axes vary too, each stratum is compared on its own
and, first in the list, averaged over the matched strata. A *family*, over which p values are
adjusted, is all pooled comparisons of a metric, or all within strata: Holm up to 20 of them,
Benjamini-Hochberg beyond (such a grid explores; it does not confirm).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import structs

from evalharness.analysis import stats
from evalharness.analysis.across.agreement_across import AgreementAcross, agreement_across
from evalharness.analysis.comparison.comparison import SIGNIFICANCE_LEVEL, Comparison, at_least
from evalharness.analysis.comparison.comparison_rows import MetricContext, UntestedRow, untested_row
from evalharness.analysis.comparison.comparison_text import comparison_line
from evalharness.analysis.comparison.matching import RUN, SettingPair, find_pairs
from evalharness.analysis.comparison.paired_metric import MetricMatrix, PairedMetric
from evalharness.analysis.comparison.percentiles import Percentiles
from evalharness.analysis.comparison.rate_rows import rate_rows
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns, SettingColumn
from evalharness.analysis.data.json_values import interval, number
from evalharness.analysis.data.metrics import METRICS, is_amount
from evalharness.analysis.equality.kernel import Unit
from evalharness.analysis.equality.model_equality import ModelEquality, model_equality
from evalharness.analysis.logprobs.logprob_distance import LogprobDistance, logprob_distance
from evalharness.analysis.tool_calls.tool_call_check import ToolCallCheck, tool_call_check

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
        metrics: names as in :data:`~evalharness.analysis.data.metrics.ALL_METRICS`, or
            ``score.NAME``; those without any value are left out.
        margin: when given, shares are also tested for equivalence within ± this much (0.02: 2 pp).
        seed: of sign patterns: equal seeds give equal bits.
        draws: sign patterns where not all can be enumerated.

    Returns:
        The comparisons, metric by metric, pooled ones before those within strata; rates of load
        points, which no prompt pairs, at the end.

    Raises:
        ConfigError: the axis does not vary, or nothing has the baseline value.

    """
    joined = JoinedRuns.of({"": frames} if isinstance(frames, RunFrame) else frames)
    flips = stats.SignFlips(clusters=joined.clusters, seed=seed, draws=draws)
    pairs = find_pairs(joined.columns, by, baseline)
    comparisons = Comparisons(joined, {by: pairs}, flips)
    comparisons.add_metrics(metrics, margin=margin)
    rates = rate_rows(joined, by.removeprefix("params."), pairs, metrics)
    return comparisons.rows(flips.tests()) + _finish_rows(rates)


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


def across_by(joined: JoinedRuns, by: str, baseline: Any = None) -> list[AgreementAcross]:
    """The agreement across the settings that :func:`compare` compares, those of each stratum.

    Args:
        joined: the runs.
        by: the axis.
        baseline: as of :func:`compare`; of runs, None is the first.
    """
    return agreement_across(joined, single_pairs(joined, by, baseline))


def equality_by(
    joined: JoinedRuns, by: str, baseline: Any = None, *, unit: Unit = "character", seed: int = 0
) -> list[ModelEquality]:
    """The model equality test of the same settings; arguments as of :func:`across_by`.

    Args:
        joined: the runs.
        by: the axis.
        baseline: as of :func:`compare`; of runs, None is the first.
        unit: what has a position in an output.
        seed: of the permutations.
    """
    return model_equality(joined, single_pairs(joined, by, baseline), unit=unit, seed=seed)


def logprob_distance_by(
    joined: JoinedRuns, by: str, baseline: Any = None, *, seed: int = 0
) -> list[LogprobDistance]:
    """The distance of log probabilities of the same settings; arguments as of :func:`equality_by`.

    Args:
        joined: the runs.
        by: the axis.
        baseline: as of :func:`compare`; of runs, None is the first.
        seed: of the permutations.
    """
    return logprob_distance(joined, single_pairs(joined, by, baseline), seed=seed)


def tool_call_check_by(
    joined: JoinedRuns, by: str, baseline: Any = None, *, seed: int = 0
) -> list[ToolCallCheck]:
    """The tool calls of the same settings against the baseline's; arguments as of the others.

    Args:
        joined: the runs.
        by: the axis.
        baseline: the reference; as of :func:`compare`; of runs, None is the first.
        seed: of the permutations.
    """
    return tool_call_check(joined, single_pairs(joined, by, baseline), seed=seed)


def single_pairs(
    joined: JoinedRuns, by: str, baseline: Any
) -> list[tuple[SettingColumn, SettingColumn]]:
    """The pairs along an axis that are of single settings, the compared one first.

    Args:
        joined: the runs.
        by: the axis, or ``run``.
        baseline: as of :func:`compare`; of runs, None is the first.
    """
    if by == RUN and baseline is None:
        baseline = joined.columns[0].run
    pairs = find_pairs(joined.columns, by, baseline)
    return [(pair.compared[0], pair.baseline[0]) for pair in pairs if not pair.pooled]


class _PendingRow(NamedTuple):
    """A comparison without its tests, and their columns among the sign flips.

    ``errors_as_failures`` is None where no error is counted as 0, ``ratio`` where the metric has
    none, ``units`` where the row is not in the headline.
    """

    row: Comparison
    difference: int
    missing: int
    errors_as_failures: int | None
    ratio: int | None
    units: stats.UnitDifferences | None


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

    def add_metrics(self, metrics: Sequence[str] = METRICS, *, margin: float | None = None) -> None:
        """Add the comparisons in some metrics; arguments as of :func:`compare`."""
        for metric in metrics:
            # The matrices of one metric are freed before those of the next.
            matrix = MetricMatrix.of(self._joined, metric)
            if matrix is None:
                continue
            context = MetricContext(self._joined, Percentiles(self._joined, metric), margin)
            for axis, pairs in self._pairs.items():
                any_pooled = any(pair.pooled for pair in pairs)
                for pair in pairs:
                    paired = PairedMetric.of(pair, matrix)
                    untested = untested_row(axis.removeprefix("params."), paired, context)
                    in_headline = pair.pooled or not any_pooled
                    self._pending[axis].append(self._add_tests(untested, in_headline=in_headline))

    def _add_tests(self, untested: UntestedRow, *, in_headline: bool) -> _PendingRow:
        row, strict, logs = untested.row, untested.strict, untested.log_ratios
        bounded = not is_amount(row.metric)
        return _PendingRow(
            row,
            self._flips.add(untested.differences, bounded=bounded, p=row.p),
            self._flips.add(untested.missing),
            None if strict is None else self._flips.add(strict),
            None if logs is None else self._flips.add(logs, bounded=False),
            self._flips.units_of(untested.differences) if in_headline else None,
        )

    def headline_columns(self) -> list[stats.UnitDifferences]:
        """The differences that the headline of a report speaks of, by unit."""
        rows = (row for pending in self._pending.values() for row in pending)
        return [row.units for row in rows if row.units is not None]

    def rows(
        self, tests: stats.FlipTests, headline: Sequence[float] | None = None
    ) -> list[Comparison]:
        """All rows, axis by axis.

        Args:
            tests: of the sign flips.
            headline: p values of :meth:`headline_columns`, adjusted for all lines of the headline;
                None outside of a report.
        """
        left = iter(headline or ())
        finished: list[Comparison] = []
        for pending in self._pending.values():
            rows = _finish_rows([_with_tests(comparison, tests) for comparison in pending])
            if headline is not None:
                rows = [
                    row
                    if p.units is None
                    else structs.replace(row, p_headline=at_least(row.p, next(left)))
                    for row, p in zip(rows, pending, strict=True)
                ]
            finished += rows
        return finished


def _finish_rows(tested: Sequence[Comparison]) -> list[Comparison]:
    """The tested comparisons along one axis with their adjusted p values and sentences."""
    return [structs.replace(row, sentence=comparison_line(row)) for row in _adjust(tested)]


def _with_tests(pending: _PendingRow, tests: stats.FlipTests) -> Comparison:
    row, missing = pending.row, number(tests.p[pending.missing])
    strict, ratio = row.errors_as_failures, row.ratio
    if strict is not None and pending.errors_as_failures is not None:
        column = pending.errors_as_failures
        ends = interval(tests.interval(column))
        strict = structs.replace(strict, p=number(tests.p[column]), ci95=ends)
    if ratio is not None and pending.ratio is not None:
        logs = tests.interval(pending.ratio)
        ends = None if logs is None else interval((math.exp(logs[0]), math.exp(logs[1])))
        ratio = structs.replace(ratio, ci95=ends)
    return structs.replace(
        row,
        p=number(tests.p[pending.difference]),
        ci95=interval(tests.interval(pending.difference)),
        ratio=ratio,
        missing=structs.replace(row.missing, p=missing),
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
        lost = [np.nan if rows[i].missing.p is None else rows[i].missing.p for i in indices]
        for index, value, loss in zip(
            indices, values, stats.holm(np.array(lost, np.float64))[0], strict=True
        ):
            differs = bool(loss < SIGNIFICANCE_LEVEL)
            adjusted[index] = structs.replace(
                rows[index],
                missing=structs.replace(rows[index].missing, differs=differs),
                p_adjusted=number(value),
                adjustment="holm" if few else "benjamini-hochberg",
                family=int(np.isfinite(p).sum()),
            )
    return adjusted
