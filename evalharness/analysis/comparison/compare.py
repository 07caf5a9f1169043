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

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison_text import comparison_line
from evalharness.analysis.comparison.matching import RUN, SettingPair, find_pairs
from evalharness.analysis.comparison.paired_metric import MetricMatrix, PairedMetric, joined_sides
from evalharness.analysis.comparison.percentiles import Percentiles
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import Floats, JoinedRuns
from evalharness.analysis.data.json_values import interval, mean, number
from evalharness.analysis.data.metrics import AMOUNT_METRICS, METRICS

HOLM_UP_TO = 20
_TRIAL_METRICS = ("latency_s", "completion_tokens")


def compare(
    frames: RunFrame | Mapping[str, RunFrame],
    *,
    by: str,
    baseline: Any = None,
    metrics: Sequence[str] = METRICS,
    margin: float | None = None,
    seed: int = 0,
    draws: int = stats.DRAWS,
) -> list[dict[str, Any]]:
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
        One dict a comparison, JSON-ready (None where undefined). ``a`` is the compared setting,
        ``b`` the baseline: ids, or the axis value for pooled ones, whose settings are listed in
        ``a_settings`` and ``b_settings``. ``difference`` is the mean over the ``n`` joined
        prompts of a minus b, in the metric's unit; ``ci95`` its interval; ``p`` the test named in
        ``test``, ``p_adjusted`` the same within the family of ``family`` comparisons; ``mde`` the
        minimum detectable effect with 80 % power, ``mde_from`` the ``spread`` of the differences,
        or, where they are all equal, a ``bound`` of it (None: there is no bound); ``also_differs``
        what else differs between the sides, such as the model of a provider; ``repeats`` the
        largest K behind a value, each side; ``ratio`` the geometric mean ratio of positive
        quantities; ``percentiles`` the median and p95 over trials, for latency and tokens;
        ``missing`` the share of trials without a value and whether it differs;
        ``errors_as_failures`` the score again with every error counted 0; ``sentence`` all of it
        in words.

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
) -> list[dict[str, Any]]:
    """Compare runs with each other, setting by setting: yesterday against today.

    Settings with the same parameters are paired; runs with a single setting each are compared
    whatever these are. ``baseline`` names a run, the first one by default; options as
    in :func:`compare`.
    """
    first = next(iter(frames))
    return compare(frames, by=RUN, baseline=first if baseline is None else baseline, **options)


class _UntestedRow(NamedTuple):
    """A comparison without its p values, and their columns among the sign flips.

    ``p`` is None where the row has a p value already (McNemar), ``errors_as_failures`` where no
    error is counted as 0.
    """

    row: dict[str, Any]
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
        self._untested: dict[str, list[_UntestedRow]] = {axis: [] for axis in pairs}

    def add_metrics(
        self, metrics: Sequence[str] = METRICS, *, margin: float | None = None, seed: int = 0
    ) -> None:
        """Add the comparisons in some metrics; arguments as of :func:`compare`."""
        for metric in metrics:
            # The matrices of one metric are freed before those of the next.
            matrix = MetricMatrix.of(self._joined, metric)
            if matrix is None:
                continue
            context = _MetricContext(self._joined, Percentiles(self._joined, metric), margin, seed)
            for axis, pairs in self._pairs.items():
                for pair in pairs:
                    paired = PairedMetric.of(pair, matrix)
                    self._untested[axis].append(self._compare_pair(axis, paired, context))

    def _compare_pair(
        self, axis: str, paired: PairedMetric, context: _MetricContext
    ) -> _UntestedRow:
        row = _row(axis.removeprefix("params."), paired, context)
        a, b = joined_sides(paired.metric.missing, paired.pair)
        row["missing"] = {"a": mean(a), "b": mean(b)}
        errors_as_failures = None
        strict_values = paired.metric.errors_as_failures
        if strict_values is not None:
            differences = np.subtract(*joined_sides(strict_values, paired.pair))
            row["errors_as_failures"] = {
                "difference": mean(differences),
                "ci95": context.ci(differences, paired.metric.name),
            }
            errors_as_failures = self._flips.add(differences)
        p = self._flips.add(paired.differences) if row["mcnemar"] is None else None
        return _UntestedRow(row, p, self._flips.add(a - b), errors_as_failures)

    def rows(self, p: Floats) -> list[dict[str, Any]]:
        """All rows, axis by axis; ``p`` are the p values of the sign flips."""
        return [row for rows in self._untested.values() for row in _finish_rows(rows, p)]


def _finish_rows(untested: list[_UntestedRow], p: Floats) -> list[dict[str, Any]]:
    """The comparisons along one axis with their p values and sentences."""
    rows: list[dict[str, Any]] = []
    for comparison in untested:
        row, missing = comparison.row, number(p[comparison.missing])
        if comparison.p is not None:
            row["p"] = number(p[comparison.p])
        row["missing"] |= {"p": missing, "differs": missing is not None and missing < 0.05}
        if comparison.errors_as_failures is not None:
            row["errors_as_failures"]["p"] = number(p[comparison.errors_as_failures])
        rows.append(row)
    _adjust(rows)
    for row in rows:
        row["sentence"] = comparison_line(row)
    return rows


class _MetricContext(NamedTuple):
    """What the rows of a metric share."""

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

    def ratio(self, paired: PairedMetric) -> dict[str, Any] | None:
        """Return the geometric mean ratio of the sides."""
        result = stats.geometric_mean_ratio(
            paired.a, paired.b, clusters=self.joined.clusters, seed=self.seed
        )
        if result is None:
            return None
        value, ends, n = result
        return {"value": value, "ci95": interval(ends), "n": n}

    def equivalence(self, paired: PairedMetric) -> dict[str, Any] | None:
        """Test shares for being equal within the margin, where there is one."""
        if self.margin is None or paired.metric.name in AMOUNT_METRICS:
            return None
        p = stats.tost(paired.differences, self.margin, clusters=self.joined.clusters)
        return {"margin": self.margin, "p": p}


def _row(by: str, paired: PairedMetric, context: _MetricContext) -> dict[str, Any]:
    """A comparison without the p values of the sign flips."""
    pair, metric, clusters = paired.pair, paired.metric.name, context.joined.clusters
    p, test, discordant = None, "sign-flip permutation", paired.discordant()
    if clusters is not None:
        test, discordant = "sign-flip permutation of clusters", None
    elif discordant is not None:
        p, test = stats.mcnemar_mid_p(*discordant), "McNemar mid-p"
    wins, losses, ties = paired.tally()
    only_a, only_b = paired.unmatched()
    return {
        "metric": metric,
        "by": by,
        **_sides(pair, by),
        "pooled": pair.pooled,
        "stratum": pair.stratum,
        "also_differs": pair.also_differs(by),
        "difference": mean(paired.differences),
        "ci95": context.ci(paired.differences, metric),
        "p": p,
        "p_adjusted": None,
        "test": test,
        "n": paired.n,
        "repeats": [paired.repeats(pair.compared), paired.repeats(pair.baseline)],
        **_detectable_difference(paired, clusters),
        "a_mean": mean(paired.a),
        "b_mean": mean(paired.b),
        "wins": wins,
        "losses": losses,
        "ties": ties,
        "correlation": paired.correlation(),
        "mcnemar": None if discordant is None else {"b": discordant[0], "c": discordant[1]},
        "unmatched": {"a": only_a, "b": only_b},
        "ratio": context.ratio(paired) if metric in AMOUNT_METRICS else None,
        "percentiles": context.percentiles.compare(paired) if metric in _TRIAL_METRICS else None,
        "missing": None,
        "errors_as_failures": None,
        "equivalence": context.equivalence(paired),
    }


def _detectable_difference(paired: PairedMetric, clusters: Any) -> dict[str, Any]:
    """The smallest difference detected with 80 % power, and whether it is from a spread or a bound.

    Differences that are all equal show no spread. For shares the spread still has an upper bound,
    for seconds, tokens and dollars it has none.
    """
    spread = stats.standard_error(paired.differences, clusters)
    if spread is not None:
        return {"mde": stats.detectable(spread[1]), "mde_from": "spread"}
    bound = None
    if paired.metric.name not in AMOUNT_METRICS:
        bound = stats.max_standard_error(paired.differences, clusters)
    if bound is None:
        return {"mde": None, "mde_from": None}
    return {"mde": stats.detectable(bound), "mde_from": "bound"}


def _sides(pair: SettingPair, by: str) -> dict[str, Any]:
    sides: dict[str, Any] = {}
    for side, columns, value in (
        ("a", pair.compared, pair.value),
        ("b", pair.baseline, pair.baseline_value),
    ):
        name = f"{by}={'null' if value is None else value}"
        sides[side] = name if pair.pooled else columns[0].setting_id
        sides[f"{side}_label"] = name if pair.pooled else columns[0].label
        sides[f"{side}_value"] = value
        sides[f"{side}_settings"] = [column.setting_id for column in columns]
        sides[f"{side}_run"] = columns[0].run or None
    return sides


def _adjust(rows: list[dict[str, Any]]) -> None:
    """Fill in ``p_adjusted``, ``family`` and ``adjustment``, family by family."""
    families: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault((row["metric"], row["pooled"]), []).append(row)
    for family in families.values():
        p = np.array([np.nan if row["p"] is None else row["p"] for row in family])
        few = len(family) <= HOLM_UP_TO
        adjusted, _ = (stats.holm if few else stats.benjamini_hochberg)(p)
        for row, value in zip(family, adjusted, strict=True):
            row["p_adjusted"] = number(value)
            row["adjustment"] = "holm" if few else "benjamini-hochberg"
            row["family"] = int(np.isfinite(p).sum())
