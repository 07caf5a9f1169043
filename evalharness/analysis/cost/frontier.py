"""The Pareto frontier of settings by cost, score and agreement: those that no other beats.

A setting is *beaten* when another is at least as good in everything and better in something. What
is left is the frontier (the Pareto set). Point estimates decide: two settings whose intervals
overlap may both be on the frontier; ``compare`` tests whether they really differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_BETTER = {"cost_usd": -1, "score": 1, "agreement": 1}  # sign: which way is better


def frontier(
    settings: Sequence[dict[str, Any]], money: Sequence[dict[str, Any]]
) -> dict[str, Any] | None:
    """Find the settings that no other beats.

    Args:
        settings: the ``settings`` of a report.
        money: of :func:`~evalharness.analysis.cost.cost_tables.by_setting`, in the same order.

    Returns:
        ``by``: the figures compared, those that every weighed setting has; ``settings``: each with
        its ``figures`` and ``beaten_by`` (labels); ``unbeaten``: labels of the frontier;
        ``left_out``: labels of settings without a known cost. None when fewer than two settings, or
        fewer than two figures, can be weighed.
    """
    rows = [_figures(row, spent) for row, spent in zip(settings, money, strict=True)]
    weighed = [row for row in rows if row["figures"]["cost_usd"] is not None]
    by = [name for name in _BETTER if all(row["figures"][name] is not None for row in weighed)]
    if len(weighed) < 2 or len(by) < 2:
        return None
    for row in weighed:
        row["beaten_by"] = [
            other["label"] for other in weighed if _beats(other["figures"], row["figures"], by)
        ]
    return {
        "by": by,
        "settings": weighed,
        "unbeaten": [row["label"] for row in weighed if not row["beaten_by"]],
        "left_out": [row["label"] for row in rows if row["figures"]["cost_usd"] is None],
    }


def _figures(row: dict[str, Any], spent: dict[str, Any]) -> dict[str, Any]:
    agreement: dict[str, Any] = row["agreement"]
    answers: dict[str, Any] = agreement.get("answer") or {}
    score: dict[str, Any] = row.get("score") or {}
    answer = answers.get("pairwise")
    return {
        "setting_id": row["setting_id"],
        "label": row["label"],
        "figures": {
            "cost_usd": spent["mean_usd"],
            "score": score.get("mean"),
            # Of the parsed answers where there are any, else of the texts.
            "agreement": agreement["raw"].get("pairwise") if answer is None else answer,
        },
    }


def _beats(a: dict[str, Any], b: dict[str, Any], by: Sequence[str]) -> bool:
    gains = [(a[name] - b[name]) * _BETTER[name] for name in by]
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)
