"""Verdicts on how far a run is from its baseline: ``--max-regression``, ``--max-increase``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from evalharness.analysis.comparison.matching import SettingPair
from evalharness.analysis.comparison.metric_change import MetricChange, metric_change
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.cli.check.allowances import ChangeLimit
from evalharness.cli.check.baseline import Baseline, PairedRuns
from evalharness.cli.check.verdicts import CheckVerdict, unknown_verdict
from evalharness.process.text import plural

_ROUNDING = 1e-9  # of a mean that equals what is allowed
_NO_PROMPT = "no prompt has a value in both runs"
_NO_POINT = "no valid load point of its own has one in both runs (docs/benchmarking.md)"
_NO_VALUE = {
    "throughput_per_s": _NO_POINT,
    "output_tokens_per_s": _NO_POINT,
    "saturation_per_s": "no search found a rate that holds in both runs (load=saturation)",
}
NO_COUNTERPART = "the baseline has no such setting"


class _Worsening(NamedTuple):
    """By how much a metric is worse, as its allowance counts it; ``ends`` None is undefined."""

    value: float
    ends: tuple[float, float] | None


def check_change(
    limit: ChangeLimit,
    settings: Sequence[tuple[str, str]],
    paired: PairedRuns,
    baseline: Baseline,
    *,
    confident: bool,
) -> Iterator[CheckVerdict]:
    """The verdict on each setting.

    Args:
        limit: how much worse a metric may be.
        settings: id and shown label of each setting that is checked.
        paired: the run joined with its baseline.
        baseline: the earlier run.
        confident: the whole interval must lie within the allowance; else the figure fails only
            where the whole interval lies beyond.
    """
    for setting_id, label in settings:
        reason = _unknown_reason(limit, setting_id, paired, baseline)
        if reason is not None:
            yield unknown_verdict(label, limit.metric.what, reason)
            continue
        pair = paired.pairs[setting_id]
        yield limit_verdict(limit, label, paired.joined, pair, confident=confident)


def limit_verdict(
    limit: ChangeLimit, label: str, joined: JoinedRuns, pair: SettingPair, *, confident: bool
) -> CheckVerdict:
    """The verdict on one setting against its counterpart."""
    metric = limit.metric
    change = metric_change(joined, pair, metric.column, metric.share)
    if change is None:
        return unknown_verdict(label, metric.what, _NO_VALUE.get(metric.column, _NO_PROMPT))
    return _verdict(limit, label, change, joined, confident=confident)


def _unknown_reason(
    allowance: ChangeLimit, setting_id: str, paired: PairedRuns, baseline: Baseline
) -> str | None:
    if setting_id not in paired.pairs:
        return NO_COUNTERPART
    column = allowance.metric.column
    if column.startswith("score"):
        if baseline.other_scorers is not None:
            return baseline.other_scorers
        scorer = column.partition(".")[2]
        if scorer and any(scorer not in frame.scores for frame in paired.joined.frames):
            known = ", ".join(_common_scorers(paired.joined.frames)) or "none"
            return f"no scorer `{scorer}` in both runs; there are: {known}"
    if column == "cost_usd" and not _costs_are_known(paired, setting_id):
        return "not every answer has a known cost in both runs; --pricing FILE gives prices"
    return None


def _common_scorers(frames: Sequence[RunFrame]) -> list[str]:
    return [name for name in frames[0].scores if all(name in f.scores for f in frames)]


def _costs_are_known(paired: PairedRuns, setting_id: str) -> bool:
    """Whether every delivered answer has a cost: a mean over some of them is another figure."""
    pair, joined = paired.pairs[setting_id], paired.joined
    columns = [column.index for column in (*pair.compared, *pair.baseline)]
    delivered = (joined.trials - joined.errors)[:, columns]
    return bool((joined.repeats("cost_usd")[:, columns] >= delivered).all())


def _verdict(
    allowance: ChangeLimit, label: str, change: MetricChange, joined: JoinedRuns, *, confident: bool
) -> CheckVerdict:
    worse = _worsening(allowance, change)
    what = allowance.metric.what
    if worse is None:
        return unknown_verdict(label, what, "the baseline is 0, and no share of it is known")
    limit = allowance.amount + _ROUNDING * max(1.0, allowance.amount)
    of_ratio = allowance.relative and not allowance.is_share
    reason = change.no_ratio_interval if of_ratio else change.no_interval
    if worse.ends is None and confident:
        holds = False
        words = f"no 95 % interval: {reason}, so nothing is shown"
    elif worse.ends is None:
        holds = worse.value <= limit
        words = f"no 95 % interval: {reason}, so the figure decides"
    elif confident:
        holds = worse.ends[1] <= limit
        words = "shown not to be worse" if holds else "not shown not to be worse"
    else:
        holds = worse.ends[0] <= limit
        words = "not shown to be worse" if holds else "shown to be worse"
    figures = (
        f"{_value(allowance, change.baseline)} → {_value(allowance, change.value)} "
        f"({_shown_change(allowance, worse)}), {_allowed(allowance)}: {words}"
    )
    prompts, prompts_are = _fallen_prompts(allowance, change, joined)
    return CheckVerdict(label, what, holds, figures, prompts, prompts_are)


def _worsening(allowance: ChangeLimit, change: MetricChange) -> _Worsening | None:
    """The change as a worsening, in the unit of the allowance; None where it has none."""
    sign = 1.0 if allowance.metric.increase else -1.0
    if allowance.relative and not allowance.is_share:
        if change.ratio is None:
            return None
        if change.ratio_ci95 is None:
            return _Worsening(sign * (change.ratio - 1.0), None)
        low, high = sorted(sign * (end - 1.0) for end in change.ratio_ci95)
        return _Worsening(sign * (change.ratio - 1.0), (low, high))
    scale = 1.0
    if allowance.relative:  # the baseline of a share is taken as it is
        if change.baseline <= 0.0:
            return None if change.value != change.baseline else _Worsening(0.0, (0.0, 0.0))
        scale = change.baseline
    value = sign * (change.value - change.baseline) / scale
    if change.ci95 is None:
        return _Worsening(value, None)
    low, high = sorted(sign * end / scale for end in change.ci95)
    return _Worsening(value, (low, high))


def _value(allowance: ChangeLimit, value: float) -> str:
    unit = allowance.metric.unit
    return f"{value:.4g} {unit}" if unit else f"{value:.4g}"


def _shown_change(allowance: ChangeLimit, worse: _Worsening) -> str:
    """The change as the metric moved, with its interval."""
    sign = 1.0 if allowance.metric.increase else -1.0
    scale, unit = _scale_and_unit(allowance)
    shown = f"{sign * worse.value * scale + 0.0:+.3g}{unit}"
    if worse.ends is None:
        return shown
    low, high = sorted(sign * end * scale + 0.0 for end in worse.ends)
    return f"{shown}, 95 % interval {low:+.3g} to {high:+.3g}{unit}"


def _scale_and_unit(allowance: ChangeLimit) -> tuple[float, str]:
    if allowance.relative:
        return 100.0, " %"
    if allowance.is_share:
        return 100.0, " pp"
    return 1.0, f" {allowance.metric.unit}"


def _allowed(allowance: ChangeLimit) -> str:
    scale, unit = _scale_and_unit(allowance)
    verb = "rise" if allowance.metric.increase else "fall"
    return f"may {verb} by {allowance.amount * scale:.4g}{unit}"


def _fallen_prompts(
    allowance: ChangeLimit, change: MetricChange, joined: JoinedRuns
) -> tuple[tuple[str, ...], str]:
    """The prompts whose share became worse, the one that lost most first."""
    if change.by_prompt is None or change.sides is None or not allowance.is_share:
        return (), ""
    sign = 1.0 if allowance.metric.increase else -1.0
    worse: Any = np.where(np.isfinite(change.by_prompt), sign * change.by_prompt, 0.0)
    order = [int(i) for i in np.argsort(-worse, kind="stable") if worse[i] > _ROUNDING]
    value, before = change.sides
    named = tuple(f"{joined.prompt_ids[i]} ({before[i]:.3g} → {value[i]:.3g})" for i in order)
    better = int(np.count_nonzero(worse < -_ROUNDING))
    return named, (
        f"worse on {len(named)} of {plural(change.prompts, 'prompt')}, better on {better}"
    )
