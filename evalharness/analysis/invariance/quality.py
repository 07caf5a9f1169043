"""Quality under load: the score under each load against the score alone, paired by prompt."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.cell_means import cell_means, cell_repeats
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.invariance.conditions import Condition, ConditionGroup


class QualityUnderLoad(msgspec.Struct, frozen=True, kw_only=True):
    """The primary score under a load, less the score under the lightest one.

    Attributes:
        label: what sets these settings apart from others of the run; empty for the only ones.
        condition, base: the two loads.
        setting_id: the setting under load.
        base_setting_ids: those of the lightest load; several where it was measured again.
        in_flight, base_in_flight: requests in flight that each closed loop keeps; null of others.
        scorer: the score.
        base_mean: mean score under the lightest load, over the prompts joined.
        difference: mean difference over prompts, in [-1, 1]; null without prompts.
        ci95: its interval; null where it is undefined.
        p: two-sided p by sign flips; null without prompts.
        p_adjusted: adjusted over all loads of the run (Holm).
        prompts: prompts with a score under both.
        repeats: the most scored repeats of a prompt under load.
        mde: smallest difference that the test detects with 80 % chance; null where it is not
            estimable.
    """

    label: str
    condition: str
    base: str
    setting_id: str
    base_setting_ids: list[str]
    in_flight: int | None
    base_in_flight: int | None
    scorer: str
    base_mean: float | None
    difference: float | None
    ci95: list[float] | None
    p: float | None
    p_adjusted: float | None
    prompts: int
    repeats: int
    mde: float | None


def quality_under_load(frame: RunFrame, groups: Sequence[ConditionGroup]) -> list[QualityUnderLoad]:
    """Compare the primary score of each load with that of the lightest closed loop.

    Args:
        frame: the run.
        groups: its settings by what they request.

    Returns:
        Nothing without a score, or where no group has a closed loop.
    """
    scorer = next(iter(frame.scores), None)
    if scorer is None:
        return []
    means, repeats = cell_means(frame, "score"), cell_repeats(frame, "score")
    flips = stats.SignFlips(clusters=frame.clusters)
    pairs: list[tuple[ConditionGroup, list[Condition], Condition]] = []
    differences: list[Floats] = []
    for group in groups:
        bases = _lightest(group)
        for condition in group.conditions if bases else []:
            if condition in bases:
                continue
            pairs.append((group, bases, condition))
            differences.append(means[:, condition.setting] - _pooled(means, repeats, bases))
            flips.add(differences[-1])
    tests = flips.tests()
    adjusted = stats.holm(tests.p)[0]
    rows: list[QualityUnderLoad] = []
    for index, (group, bases, condition) in enumerate(pairs):
        joined = np.isfinite(differences[index])
        base = _pooled(means, repeats, bases)
        rows.append(
            QualityUnderLoad(
                label=group.label,
                condition=condition.name,
                base=bases[0].name,
                setting_id=frame.setting_ids[condition.setting],
                base_setting_ids=[frame.setting_ids[each.setting] for each in bases],
                in_flight=condition.in_flight,
                base_in_flight=bases[0].in_flight,
                scorer=scorer,
                base_mean=json_values.mean(np.where(joined, base, np.nan)),
                difference=json_values.mean(differences[index]),
                ci95=json_values.interval(tests.interval(index)),
                p=json_values.number(tests.p[index]),
                p_adjusted=json_values.number(adjusted[index]),
                prompts=int(joined.sum()),
                repeats=int(repeats[joined, condition.setting].max(initial=0)),
                mde=_detectable(frame, differences[index]),
            )
        )
    return [row for row in rows if row.prompts]


def _lightest(group: ConditionGroup) -> list[Condition]:
    """The settings with the fewest requests in flight, those measured again included."""
    known = [each for each in group.conditions if each.in_flight is not None]
    least = min((each.in_flight or 0 for each in known), default=0)
    return [each for each in known if each.in_flight == least]


def _pooled(means: Floats, repeats: Ints, conditions: Sequence[Condition]) -> Floats:
    """The mean over all scored repeats of some settings, one a prompt; NaN without any."""
    columns = [each.setting for each in conditions]
    count = repeats[:, columns]
    total = np.where(count > 0, means[:, columns], 0.0) * count
    n = count.sum(axis=1)
    return np.where(n > 0, total.sum(axis=1) / np.maximum(n, 1), np.nan)


def _detectable(frame: RunFrame, differences: Floats) -> float | None:
    error = stats.standard_error(differences, frame.clusters)
    if error is None:
        return None
    smallest = stats.detectable(error.error, error.units, error.df)
    return None if smallest is None or smallest > 1.0 else smallest
