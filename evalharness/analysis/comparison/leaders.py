"""The leading setting in each metric, and the settings that are not detectably worse.

The leader is the setting with the best mean over prompts. Every other setting is tested against it,
paired by prompt (sign flips, Holm over the others of the metric). Settings without a detectable
difference form the *leading group* with it. A setting outside the group is detectably worse; one
inside is not proven equal. The leader is selected after the fact, so its lead over the runner-up is
biased upwards; the intervals bound it.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import interval, number
from evalharness.analysis.data.metrics import SHARE_METRICS

#: Which way is better.
DIRECTIONS = {"agreement": 1, "agreement_answer": 1, "score": 1, "latency_s": -1, "cost_usd": -1}
LEVEL = 0.05


class LeaderContrast(msgspec.Struct, frozen=True, kw_only=True):
    """A setting against the leader of a metric, paired by prompt.

    Attributes:
        setting_id: the setting.
        value: its mean over prompts, in the unit of the metric.
        difference: mean over the prompts of it minus the leader; null where they share no prompt.
        ci95: 95 % interval of the difference; null where it is undefined.
        n: prompts with a value of both.
        p: p value of the difference; null where it is undefined.
        p_adjusted: p value adjusted over the other settings of the metric; null where p is.
    """

    setting_id: str
    value: float
    difference: float | None
    ci95: list[float] | None
    n: int
    p: float | None
    p_adjusted: float | None


class Leaders(msgspec.Struct, frozen=True, kw_only=True):
    """The leading setting in a metric, and those that are not detectably worse.

    Attributes:
        setting_id: the leader, which has the best mean over prompts.
        value: its mean over prompts, in the unit of the metric.
        group: ids of the leading settings: the leader, then those that are not detectably worse.
        others: every other setting with a value.
    """

    setting_id: str
    value: float
    group: list[str]
    others: list[LeaderContrast]


def leaders(frame: RunFrame, *, seed: int = 0) -> dict[str, Leaders | None]:
    """Find the leading group of each metric in :data:`DIRECTIONS`.

    Args:
        frame: the run.
        seed: of the sign flips and the resampling.

    Returns:
        By metric, None where fewer than two settings have a value.

    """
    by_metric = {metric: _Leader.of(frame, metric, sign) for metric, sign in DIRECTIONS.items()}
    known = [leader for leader in by_metric.values() if leader is not None]
    if not known:
        return dict.fromkeys(by_metric)
    # All metrics at once: drawing the signs costs more than multiplying with them.
    p = stats.sign_flip(
        np.concatenate([leader.differences for leader in known], axis=1),
        clusters=frame.clusters,
        seed=seed,
    )
    ends = np.cumsum([len(leader.others) for leader in known])[:-1]
    p_values = dict(zip((leader.metric for leader in known), np.split(p, ends), strict=True))
    return {
        metric: None if leader is None else _describe_leader(frame, leader, p_values[metric], seed)
        for metric, leader in by_metric.items()
    }


def is_settled(leaders: Leaders) -> bool:
    """Whether the leading group is small enough to be a result.

    At least a quarter of the other settings must be outside it: one setting of thirty that is
    detectably worse does not make the other twenty-nine the best.
    """
    beaten = len(leaders.others) + 1 - len(leaders.group)
    return 0 < len(leaders.others) <= 4 * beaten


class _Leader(NamedTuple):
    """The leader in a metric; ``differences`` of the others to it, prompts × others."""

    metric: str
    best: int
    others: list[int]
    means: dict[int, float]
    differences: Floats

    @classmethod
    def of(cls, frame: RunFrame, metric: str, sign: int) -> _Leader | None:
        table = cell_means(frame, metric)
        columns = ((s, _mean(table[:, s])) for s in range(table.shape[1]))
        means = {s: mean for s, mean in columns if mean is not None}
        if len(means) < 2:
            return None
        best = max(means, key=lambda s: (sign * means[s], -s))
        others = [s for s in means if s != best]
        return cls(metric, best, others, means, table[:, others] - table[:, [best]])


def _describe_leader(frame: RunFrame, leader: _Leader, p: Floats, seed: int) -> Leaders:
    # A setting that shares no prompt with the leader has no p, and stays in the group.
    adjusted, _ = stats.holm(p)
    others = [
        _contrast(frame, leader, i, (number(p[i]), number(adjusted[i])), seed)
        for i in range(len(leader.others))
    ]
    undetected = [o.setting_id for o in others if o.p_adjusted is None or o.p_adjusted >= LEVEL]
    best = frame.setting_ids[leader.best]
    return Leaders(
        setting_id=best,
        value=leader.means[leader.best],
        group=[best, *undetected],
        others=others,
    )


def _contrast(
    frame: RunFrame,
    leader: _Leader,
    index: int,
    p_values: tuple[float | None, float | None],
    seed: int,
) -> LeaderContrast:
    setting, differences = leader.others[index], leader.differences[:, index]
    scale = "difference" if leader.metric in SHARE_METRICS else "real"
    ends = stats.mean_ci(differences, clusters=frame.clusters, scale=scale, seed=seed)
    p, p_adjusted = p_values
    return LeaderContrast(
        setting_id=frame.setting_ids[setting],
        value=leader.means[setting],
        difference=_mean(differences),
        ci95=interval(ends),
        n=int(np.isfinite(differences).sum()),
        p=p,
        p_adjusted=p_adjusted,
    )


def _mean(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
