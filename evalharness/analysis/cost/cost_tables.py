"""What a run cost: by setting, model, tag and prompt, and projected to a volume.

What the figures of each part mean is said in
:func:`~evalharness.analysis.cost.cell_costs.describe`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from evalharness.analysis.cost.cell_costs import Spending, describe
from evalharness.pricing.price import to_usd

_MOST_PROMPTS = 20  # described one by one, dearest first
_MOST_TAGS = 50


def whole(spending: Spending) -> dict[str, Any]:
    """:func:`describe` of the whole run."""
    return describe(spending, spending.every_cell.ravel())


def by_setting(spending: Spending) -> list[dict[str, Any]]:
    """:func:`describe` of every setting, in the frame's order."""
    frame = spending.frame
    return [
        {
            "setting_id": frame.setting_ids[s],
            "label": frame.label(s),
            **describe(spending, spending.every_cell[:, s]),
        }
        for s in range(len(frame.setting_ids))
    ]


def by_model(spending: Spending) -> list[dict[str, Any]]:
    """:func:`describe` of every provider and model, in the order of the settings."""
    frame = spending.frame
    members: dict[tuple[Any, Any], list[int]] = {}
    for s in range(len(frame.setting_ids)):
        values = frame.params(s)
        members.setdefault((values.get("provider"), values.get("model")), []).append(s)
    return [
        {
            "provider": provider,
            "model": model,
            **describe(spending, spending.every_cell[:, settings].ravel()),
        }
        for (provider, model), settings in members.items()
    ]


def by_tag(spending: Spending, tags: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """:func:`describe` of every tag, dearest first; at most 50.

    A prompt with two tags counts under both, so tags do not add up to the run. ``tag`` None stands
    for prompts without tags. Nothing when no prompt has a tag.

    Args:
        spending: the run.
        tags: those of each prompt, in the frame's order of prompts.
    """
    members: dict[str | None, list[int]] = {}
    for place, names in enumerate(tags):
        for name in dict.fromkeys(names) or [None]:
            members.setdefault(name, []).append(place)
    if not members.keys() - {None}:
        return []
    rows: list[dict[str, Any]] = [
        {"tag": tag, **describe(spending, spending.every_cell[prompts].ravel())}
        for tag, prompts in members.items()
    ]
    rows = [row for row in rows if row["trials"]]
    return sorted(rows, key=_dearest)[:_MOST_TAGS]


def _dearest(row: dict[str, Any]) -> tuple[Decimal, str]:
    """Sorts by falling cost, then by name."""
    total: Decimal | None = row["total_usd"]
    return -(total or Decimal(0)), row["tag"] or ""


def by_prompt(spending: Spending) -> dict[str, Any]:
    """The dearest prompts one by one, and the others as one row, so that they add up.

    Returns:
        ``prompts``: how many; ``most_expensive``: :func:`describe` with ``prompt_id`` and ``share``
        of the run's known cost, by total cost; ``others``: ``prompts``, ``trials``, ``known`` and
        ``total_usd`` of the rest.
    """
    frame = spending.frame
    trials = frame.matrix(spending.trials).sum(axis=1)
    cost = frame.matrix(spending.paid.pico()).sum(axis=1)
    order = np.lexsort((np.arange(len(cost)), -cost))
    order = order[trials[order] > 0]
    whole = to_usd(spending.paid.of(spending.every_cell.ravel()))
    dearest: list[dict[str, Any]] = []
    for place in order[:_MOST_PROMPTS].tolist():
        row = describe(spending, spending.every_cell[place])
        spent = row["total_usd"]
        share = None if spent is None or not whole else float(spent / whole)
        dearest.append({"prompt_id": frame.prompt_ids[place], "share": share, **row})
    rest = spending.every_cell[order[_MOST_PROMPTS:]].ravel()
    paid = int(spending.known[rest].sum())
    others = {
        "prompts": len(order[_MOST_PROMPTS:]),
        "trials": int(spending.trials[rest].sum()),
        "known": paid,
        "total_usd": to_usd(spending.paid.of(rest)) if paid else None,
    }
    return {"prompts": len(order), "most_expensive": dearest, "others": others}


def projection(rows: Sequence[dict[str, Any]], volume: float) -> list[dict[str, Any]]:
    """What each setting would cost at a volume of requests like these.

    Args:
        rows: of :func:`by_setting`.
        volume: requests.

    Returns:
        ``usd`` with ``ci95`` of the mean carried over, prompt and completion tokens; null where
        the mean is unknown.
    """
    out: list[dict[str, Any]] = []
    for row in rows:
        mean, ends, tokens = row["mean_usd"], row["ci95"], row["tokens"]
        out.append(
            {
                "setting_id": row["setting_id"],
                "label": row["label"],
                "usd": None if mean is None else mean * volume,
                "ci95": None if ends is None else [end * volume for end in ends],
                **{
                    name: None if tokens[name]["mean"] is None else tokens[name]["mean"] * volume
                    for name in ("prompt_tokens", "completion_tokens")
                },
            }
        )
    return out
