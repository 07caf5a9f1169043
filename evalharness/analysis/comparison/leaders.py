"""The leading setting in each metric, and the settings that are not detectably worse.

The leader is the setting with the best mean over prompts. Every other setting is tested against it,
paired by prompt (sign flips, Holm over the others of the metric). Settings without a detectable
difference form the *leading group* with it. A setting outside the group is detectably worse; one
inside is not proven equal. The leader is selected after the fact, so its lead over the runner-up is
biased upwards; the intervals bound it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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


def leaders(frame: RunFrame, *, seed: int = 0) -> dict[str, Any]:
    """Find the leading group of each metric in :data:`DIRECTIONS`.

    Args:
        frame: the run.
        seed: of the sign flips and the resampling.

    Returns:
        By metric, None where fewer than two settings have a value: ``setting_id`` of the leader,
        its ``value``, ``group`` (ids: the leader first, then those not detectably worse) and
        ``others``, one a setting with a value: ``setting_id``, ``value``, ``difference`` (it minus
        the leader, over the ``n`` prompts both have), ``ci95``, ``p`` and ``p_adjusted``.

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


class _Leader(NamedTuple):
    """The leader in a metric; ``differences`` of the others to it, prompts × others."""

    metric: str
    best: int
    others: list[int]
    means: list[float | None]
    differences: Floats

    @classmethod
    def of(cls, frame: RunFrame, metric: str, sign: int) -> _Leader | None:
        table = cell_means(frame, metric)
        means = [_mean(table[:, s]) for s in range(table.shape[1])]
        known = [s for s, mean in enumerate(means) if mean is not None]
        if len(known) < 2:
            return None
        best = max(known, key=lambda s: (sign * (means[s] or 0.0), -s))
        others = [s for s in known if s != best]
        return cls(metric, best, others, means, table[:, others] - table[:, [best]])


def _describe_leader(frame: RunFrame, leader: _Leader, p: Floats, seed: int) -> dict[str, Any]:
    metric, best, means = leader.metric, leader.best, leader.means
    # A setting that shares no prompt with the leader has no p, and stays in the group.
    adjusted, _ = stats.holm(p)
    rows = [
        _describe_other(frame, s, metric, means[s], leader.differences[:, i], seed)
        | {"p": number(p[i]), "p_adjusted": number(adjusted[i])}
        for i, s in enumerate(leader.others)
    ]
    group = [r["setting_id"] for r in rows if r["p_adjusted"] is None or r["p_adjusted"] >= LEVEL]
    return {
        "setting_id": frame.setting_ids[best],
        "value": means[best],
        "group": [frame.setting_ids[best], *group],
        "others": rows,
    }


def _describe_other(
    frame: RunFrame, setting: int, metric: str, value: float | None, differences: Floats, seed: int
) -> dict[str, Any]:
    scale = "difference" if metric in SHARE_METRICS else "real"
    ends = stats.mean_ci(differences, clusters=frame.clusters, scale=scale, seed=seed)
    return {
        "setting_id": frame.setting_ids[setting],
        "value": value,
        "difference": _mean(differences),
        "ci95": interval(ends),
        "n": int(np.isfinite(differences).sum()),
    }


def _mean(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
