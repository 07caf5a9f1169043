"""Which setting leads in a metric, and which ones cannot be told apart from it.

The leader is the setting with the best mean over prompts. Every other setting is tested against it,
paired by prompt (sign flips, Holm over the others of the metric). Settings without a detectable
difference form the *leading group* with it: to be outside the group is to be detectably worse, to
be inside is not to be proven equal. The leader was picked by looking, so its lead over the
runner-up is biased upwards; the intervals say by how much at most.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import Frame
from evalharness.analysis.data.json_values import interval, number

#: Which way is better.
DIRECTIONS = {"agreement": 1, "agreement_answer": 1, "score": 1, "latency_s": -1, "cost_usd": -1}
LEVEL = 0.05
_SHARES = ("agreement", "agreement_answer", "score")


def leaders(frame: Frame, *, seed: int = 0) -> dict[str, Any]:
    """Find the leading group of every metric in :data:`DIRECTIONS`.

    Args:
        frame: the run.
        seed: of the sign flips and the resampling.

    Returns:
        By metric, None where fewer than two settings have a value: ``setting_id`` of the leader,
        its ``value``, ``group`` (ids: the leader first, then those not detectably worse) and
        ``others``, one a setting with a value: ``setting_id``, ``value``, ``difference`` (it minus
        the leader, over the ``n`` prompts both have), ``ci95``, ``p`` and ``p_adjusted``.

    """
    led = {metric: _Lead.of(frame, metric, sign) for metric, sign in DIRECTIONS.items()}
    known = [lead for lead in led.values() if lead is not None]
    if not known:
        return dict.fromkeys(led)
    # All metrics at once: drawing the signs costs more than multiplying with them.
    p = stats.sign_flip(
        np.concatenate([lead.differences for lead in known], axis=1),
        clusters=frame.clusters,
        seed=seed,
    )
    ends = np.cumsum([len(lead.others) for lead in known])[:-1]
    found = dict(zip((lead.metric for lead in known), np.split(p, ends), strict=True))
    return {
        metric: None if lead is None else _described(frame, lead, found[metric], seed)
        for metric, lead in led.items()
    }


class _Lead(NamedTuple):
    """The leader in a metric; ``differences`` of the others to it, prompts × others."""

    metric: str
    best: int
    others: list[int]
    means: list[float | None]
    differences: Floats

    @classmethod
    def of(cls, frame: Frame, metric: str, sign: int) -> _Lead | None:
        table = frame.per_prompt(metric)
        means = [_mean(table[:, s]) for s in range(table.shape[1])]
        known = [s for s, mean in enumerate(means) if mean is not None]
        if len(known) < 2:
            return None
        best = max(known, key=lambda s: (sign * (means[s] or 0.0), -s))
        others = [s for s in known if s != best]
        return cls(metric, best, others, means, table[:, others] - table[:, [best]])


def _described(frame: Frame, lead: _Lead, raw: Floats, seed: int) -> dict[str, Any]:
    metric, best, means = lead.metric, lead.best, lead.means
    # A setting that shares no prompt with the leader has no p, and cannot be told from it.
    adjusted, _ = stats.holm(raw)
    rows = [
        _other(frame, s, metric, means[s], lead.differences[:, i], seed)
        | {"p": number(raw[i]), "p_adjusted": number(adjusted[i])}
        for i, s in enumerate(lead.others)
    ]
    level = [r["setting_id"] for r in rows if r["p_adjusted"] is None or r["p_adjusted"] >= LEVEL]
    return {
        "setting_id": frame.setting_ids[best],
        "value": means[best],
        "group": [frame.setting_ids[best], *level],
        "others": rows,
    }


def _other(
    frame: Frame, setting: int, metric: str, value: float | None, differences: Floats, seed: int
) -> dict[str, Any]:
    scale = "difference" if metric in _SHARES else "real"
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
