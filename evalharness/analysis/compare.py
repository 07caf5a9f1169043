"""Which settings really differ: every setting against its counterpart at a baseline value.

The prompt (or its ``cluster``) is the statistical unit; repeats are averaged first. Settings are
paired as :mod:`.matching` says; where other axes vary too, every stratum is compared on its own
and, first in the list, averaged over the matched strata. A *family*, over which p values are
adjusted, is all pooled comparisons of a metric, or all within strata: Holm up to 20 of them,
Benjamini-Hochberg beyond (such a grid explores; it does not confirm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.contrast import Contrast, Measured, both_known
from evalharness.analysis.frame import METRICS, Frame
from evalharness.analysis.joined import Floats, Joined
from evalharness.analysis.matching import RUN, Pair, find_pairs
from evalharness.analysis.plain import interval, mean, number
from evalharness.analysis.sentences import comparison_line

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
        metrics: names as in :data:`~evalharness.analysis.frame.METRICS`, or ``score.NAME``; those
            without any value are left out.
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
    pairs = find_pairs(joined.columns, by, baseline)
    measured = [found for metric in metrics if (found := Measured.of(joined, metric)) is not None]
    contrasts = [Contrast.of(pair, metric) for metric in measured for pair in pairs]
    if not contrasts:
        return []
    tests = _Tests(contrasts, joined, seed, draws)
    rows = [_row(i, by.removeprefix("params."), contrasts[i], tests) for i in range(len(contrasts))]
    if margin is not None:
        for row, contrast in zip(rows, contrasts, strict=True):
            if contrast.measured.metric in _RATIO_METRICS:
                continue
            p = stats.tost(contrast.differences, margin, clusters=joined.clusters)
            row["equivalence"] = {"margin": margin, "p": p}
    _adjust(rows)
    for row in rows:
        row["sentence"] = comparison_line(row)
    return rows


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


class _Tests:
    """p values of all comparisons, from sign patterns that all of them share."""

    def __init__(self, contrasts: list[Contrast], joined: Joined, seed: int, draws: int) -> None:
        self.seed = seed
        self.joined = joined
        self.clusters = joined.clusters
        self.missing = [both_known(c.measured.missing, c.pair) for c in contrasts]
        self.strict = [
            None
            if c.measured.strict is None
            else np.subtract(*both_known(c.measured.strict, c.pair))
            for c in contrasts
        ]
        nothing = np.full(len(joined.prompt_ids), np.nan)
        columns = chain(
            (c.differences for c in contrasts),
            (a - b for a, b in self.missing),
            (nothing if d is None else d for d in self.strict),
        )
        p = stats.sign_flip_columns(columns, clusters=self.clusters, seed=seed, draws=draws)
        self.p, self.p_missing, self.p_strict = p.reshape(3, len(contrasts))

    def percentiles(self, contrast: Contrast) -> dict[str, Any] | None:
        """Compare the median and the p95 over the trials of the joined prompts."""
        a, b = (
            self.joined.observations(
                contrast.measured.metric, columns, np.flatnonzero(contrast.joined)
            )
            for columns in (contrast.pair.compared, contrast.pair.baseline)
        )
        found = stats.quantile_differences(a, b, (0.5, 0.95), clusters=self.clusters)
        return {
            name: {"a": top, "b": base, "difference": top - base, "ci95": interval(ci)}
            for name, (top, base, ci) in zip(("p50", "p95"), found, strict=False)
        }

    def ci(self, differences: Floats, metric: str) -> list[float] | None:
        """Return the interval of a mean difference."""
        scale = "real" if metric in _RATIO_METRICS else "difference"
        return interval(
            stats.mean_ci(differences, clusters=self.clusters, scale=scale, seed=self.seed)
        )


def _row(i: int, by: str, contrast: Contrast, tests: _Tests) -> dict[str, Any]:
    pair, metric = contrast.pair, contrast.measured.metric
    p, test, discordant = number(tests.p[i]), "sign-flip permutation", contrast.discordant()
    if tests.clusters is not None:
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
        "ci95": tests.ci(contrast.differences, metric),
        "p": p,
        "p_adjusted": p,
        "test": test,
        "n": contrast.n,
        "repeats": [contrast.repeats(pair.compared), contrast.repeats(pair.baseline)],
        **_detectable(contrast, tests.clusters),
        "a_mean": mean(contrast.a),
        "b_mean": mean(contrast.b),
        "wins": wins,
        "losses": losses,
        "ties": ties,
        "correlation": contrast.correlation(),
        "mcnemar": None if discordant is None else {"b": discordant[0], "c": discordant[1]},
        "unmatched": {"a": only_a, "b": only_b},
        "ratio": _ratio(contrast, tests) if metric in _RATIO_METRICS else None,
        "percentiles": tests.percentiles(contrast) if metric in _TRIAL_METRICS else None,
        "missing": _missing(i, tests),
        "errors_as_failures": _strict(i, metric, tests),
        "equivalence": None,
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


def _ratio(contrast: Contrast, tests: _Tests) -> dict[str, Any] | None:
    found = stats.geometric_mean_ratio(
        contrast.a, contrast.b, clusters=tests.clusters, seed=tests.seed
    )
    if found is None:
        return None
    value, ends, n = found
    return {"value": value, "ci95": interval(ends), "n": n}


def _missing(i: int, tests: _Tests) -> dict[str, Any]:
    a, b = tests.missing[i]
    p = number(tests.p_missing[i])
    return {"a": mean(a), "b": mean(b), "p": p, "differs": p is not None and p < 0.05}


def _strict(i: int, metric: str, tests: _Tests) -> dict[str, Any] | None:
    differences = tests.strict[i]
    if differences is None:
        return None
    return {
        "difference": mean(differences),
        "ci95": tests.ci(differences, metric),
        "p": number(tests.p_strict[i]),
    }


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
