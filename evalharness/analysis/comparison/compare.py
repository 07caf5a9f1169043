"""Which settings really differ: every setting against its counterpart at a baseline value.

The prompt (or its ``cluster``) is the statistical unit; repeats are averaged first. Settings are
paired as :mod:`.matching` says; where other axes vary too, every stratum is compared on its own
and, first in the list, averaged over the matched strata. A *family*, over which p values are
adjusted, is all pooled comparisons of a metric, or all within strata: Holm up to 20 of them,
Benjamini-Hochberg beyond (such a grid explores; it does not confirm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.matching import RUN, Pair, find_pairs
from evalharness.analysis.comparison.paired_metric import Contrast, Measured, both_known
from evalharness.analysis.comparison.percentiles import Percentiles
from evalharness.analysis.comparison.sentences import comparison_line
from evalharness.analysis.data.frame import METRICS, Frame
from evalharness.analysis.data.join_runs import Floats, Joined
from evalharness.analysis.data.json_values import interval, mean, number

HOLM_UP_TO = 20
_RATIO_METRICS = ("latency_s", "completion_tokens", "cost_usd")
_TRIAL_METRICS = ("latency_s", "completion_tokens")


def compare(
    frames: Frame | Mapping[str, Frame],
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
        metrics: names as in :data:`~evalharness.analysis.data.frame.METRICS`, or ``score.NAME``;
            those without any value are left out.
        margin: when given, shares are also tested for equivalence within ± this much (0.02: 2 pp).
        seed: of permutations and resampling: equal seeds give equal bits.
        draws: sign patterns where not all can be enumerated.

    Returns:
        One dict a comparison, JSON-ready (None where undefined). ``a`` is the compared setting,
        ``b`` the baseline: ids, or the axis value for pooled ones, whose settings are listed in
        ``a_settings`` and ``b_settings``. ``difference`` is the mean over the ``n`` joined
        prompts of a minus b, in the metric's unit; ``ci95`` its interval; ``p`` the test named in
        ``test``, ``p_adjusted`` the same within the family of ``family`` comparisons; ``mde`` what
        would have been found with 80 % power, ``mde_from`` the ``spread`` of the differences, or,
        where they are all equal, a ``bound`` of it (None: nothing bounds it); ``also_differs``
        what else differs between the sides, such as the model of a provider; ``repeats`` the
        largest K behind a value, each side; ``ratio`` the geometric mean ratio of positive
        quantities; ``percentiles`` the median and p95 over trials, for latency and tokens;
        ``missing`` the share of trials without a value and whether it differs;
        ``errors_as_failures`` the score again with every error counted 0; ``sentence`` all of it
        in words.

    Raises:
        ConfigError: the axis does not vary, or nothing has the baseline value.

    """
    joined = Joined.of({"": frames} if isinstance(frames, Frame) else frames)
    flips = stats.SignFlips(clusters=joined.clusters, seed=seed, draws=draws)
    found = Comparisons(joined, {by: find_pairs(joined.columns, by, baseline)}, flips)
    found.make(metrics, margin=margin, seed=seed)
    return found.tested(flips.p())


def compare_runs(
    frames: Mapping[str, Frame], *, baseline: str | None = None, **options: Any
) -> list[dict[str, Any]]:
    """Compare runs with each other, setting by setting: yesterday against today.

    Settings with the same parameters are paired; runs with a single setting each are compared
    whatever these are. ``baseline`` names a run, the first one by default; options as
    in :func:`compare`.
    """
    first = next(iter(frames))
    return compare(frames, by=RUN, baseline=first if baseline is None else baseline, **options)


class _Tested(NamedTuple):
    """A comparison without its p values, and where they stand among the sign flips.

    ``p`` is None where the row has a p of its own, ``strict`` where no error is counted as 0.
    """

    row: dict[str, Any]
    p: int | None
    missing: int
    strict: int | None


class Comparisons:
    """Comparisons along some axes, metric by metric; tested once all of them are there.

    Args:
        joined: the runs.
        pairs: what to compare, by axis.
        flips: takes the columns to be tested.
    """

    def __init__(
        self, joined: Joined, pairs: Mapping[str, Sequence[Pair]], flips: stats.SignFlips
    ) -> None:
        self._joined = joined
        self._pairs = pairs
        self._flips = flips
        self._found: dict[str, list[_Tested]] = {axis: [] for axis in pairs}

    def make(
        self, metrics: Sequence[str] = METRICS, *, margin: float | None = None, seed: int = 0
    ) -> None:
        """Make all comparisons in some metrics; arguments as of :func:`compare`."""
        for metric in metrics:
            # What a metric needs, a column of numbers or more for each comparison, is let go
            # before the next one.
            measured = Measured.of(self._joined, metric)
            if measured is None:
                continue
            about = _About(self._joined, Percentiles(self._joined, metric), margin, seed)
            for axis, pairs in self._pairs.items():
                for pair in pairs:
                    made = self._made(axis, Contrast.of(pair, measured), about)
                    self._found[axis].append(made)

    def _made(self, axis: str, contrast: Contrast, about: _About) -> _Tested:
        row = _row(axis.removeprefix("params."), contrast, about)
        a, b = both_known(contrast.measured.missing, contrast.pair)
        row["missing"] = {"a": mean(a), "b": mean(b)}
        strict = None
        if contrast.measured.strict is not None:
            differences = np.subtract(*both_known(contrast.measured.strict, contrast.pair))
            row["errors_as_failures"] = {
                "difference": mean(differences),
                "ci95": about.ci(differences, contrast.measured.metric),
            }
            strict = self._flips.add(differences)
        p = self._flips.add(contrast.differences) if row["mcnemar"] is None else None
        return _Tested(row, p, self._flips.add(a - b), strict)

    def tested(self, p: Floats) -> list[dict[str, Any]]:
        """All rows, axis by axis, with their p values: those of the sign flips."""
        return [row for found in self._found.values() for row in _tested(found, p)]


def _tested(found: list[_Tested], p: Floats) -> list[dict[str, Any]]:
    """The comparisons along one axis with their p values, and in words."""
    rows: list[dict[str, Any]] = []
    for one in found:
        row, missing = one.row, number(p[one.missing])
        if one.p is not None:
            row["p"] = number(p[one.p])
        row["missing"] |= {"p": missing, "differs": missing is not None and missing < 0.05}
        if one.strict is not None:
            row["errors_as_failures"]["p"] = number(p[one.strict])
        rows.append(row)
    _adjust(rows)
    for row in rows:
        row["sentence"] = comparison_line(row)
    return rows


class _About(NamedTuple):
    """What the rows of a metric share."""

    joined: Joined
    percentiles: Percentiles
    margin: float | None
    seed: int

    def ci(self, differences: Floats, metric: str) -> list[float] | None:
        """Return the interval of a mean difference."""
        scale = "real" if metric in _RATIO_METRICS else "difference"
        return interval(
            stats.mean_ci(differences, clusters=self.joined.clusters, scale=scale, seed=self.seed)
        )

    def ratio(self, contrast: Contrast) -> dict[str, Any] | None:
        """Return the geometric mean ratio of the sides."""
        found = stats.geometric_mean_ratio(
            contrast.a, contrast.b, clusters=self.joined.clusters, seed=self.seed
        )
        if found is None:
            return None
        value, ends, n = found
        return {"value": value, "ci95": interval(ends), "n": n}

    def equivalence(self, contrast: Contrast) -> dict[str, Any] | None:
        """Test shares for being equal within the margin, where there is one."""
        if self.margin is None or contrast.measured.metric in _RATIO_METRICS:
            return None
        p = stats.tost(contrast.differences, self.margin, clusters=self.joined.clusters)
        return {"margin": self.margin, "p": p}


def _row(by: str, contrast: Contrast, about: _About) -> dict[str, Any]:
    """A comparison as far as it is known before the sign flips."""
    pair, metric, clusters = contrast.pair, contrast.measured.metric, about.joined.clusters
    p, test, discordant = None, "sign-flip permutation", contrast.discordant()
    if clusters is not None:
        test, discordant = "sign-flip permutation of clusters", None
    elif discordant is not None:
        p, test = stats.mcnemar_mid_p(*discordant), "McNemar mid-p"
    wins, losses, ties = contrast.tally()
    only_a, only_b = contrast.unmatched()
    return {
        "metric": metric,
        "by": by,
        **_sides(pair, by),
        "pooled": pair.pooled,
        "stratum": pair.stratum,
        "also_differs": pair.also_differs(by),
        "difference": mean(contrast.differences),
        "ci95": about.ci(contrast.differences, metric),
        "p": p,
        "p_adjusted": None,
        "test": test,
        "n": contrast.n,
        "repeats": [contrast.repeats(pair.compared), contrast.repeats(pair.baseline)],
        **_detectable(contrast, clusters),
        "a_mean": mean(contrast.a),
        "b_mean": mean(contrast.b),
        "wins": wins,
        "losses": losses,
        "ties": ties,
        "correlation": contrast.correlation(),
        "mcnemar": None if discordant is None else {"b": discordant[0], "c": discordant[1]},
        "unmatched": {"a": only_a, "b": only_b},
        "ratio": about.ratio(contrast) if metric in _RATIO_METRICS else None,
        "percentiles": about.percentiles.compare(contrast) if metric in _TRIAL_METRICS else None,
        "missing": None,
        "errors_as_failures": None,
        "equivalence": about.equivalence(contrast),
    }


def _detectable(contrast: Contrast, clusters: Any) -> dict[str, Any]:
    """The smallest difference found with 80 % power, and what it rests on.

    Differences that are all equal show no spread. Of shares there is still a bound of it; of
    seconds, tokens and dollars there is none.
    """
    spread = stats.standard_error(contrast.differences, clusters)
    if spread is not None:
        return {"mde": stats.detectable(spread[1]), "mde_from": "spread"}
    bound = None
    if contrast.measured.metric not in _RATIO_METRICS:
        bound = stats.greatest_error(contrast.differences, clusters)
    if bound is None:
        return {"mde": None, "mde_from": None}
    return {"mde": stats.detectable(bound), "mde_from": "bound"}


def _sides(pair: Pair, by: str) -> dict[str, Any]:
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
