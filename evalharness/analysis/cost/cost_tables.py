"""Cost tables of a run: by setting, model, tag and prompt, and projected to a volume.

The figures of each part are defined in
:func:`~evalharness.analysis.cost.cell_costs.describe_cells`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from evalharness.analysis.cost.cell_costs import CellCosts, describe_cells
from evalharness.pricing.price import to_usd

_MAX_PROMPTS = 20  # listed one by one, most expensive first
_MAX_TAGS = 50


def whole_run(costs: CellCosts) -> dict[str, Any]:
    """:func:`describe_cells` of the whole run."""
    return describe_cells(costs, costs.cell_matrix.ravel())


def by_setting(costs: CellCosts) -> list[dict[str, Any]]:
    """:func:`describe_cells` of each setting, in the frame's order."""
    frame = costs.frame
    return [
        {
            "setting_id": frame.setting_ids[s],
            "label": frame.label(s),
            **describe_cells(
                costs, costs.cell_matrix[:, s], costs.costs.setting(frame.setting_ids[s])
            ),
        }
        for s in range(len(frame.setting_ids))
    ]


def by_model(costs: CellCosts) -> list[dict[str, Any]]:
    """:func:`describe_cells` of each provider and model, in the order of the settings."""
    frame = costs.frame
    members: dict[tuple[Any, Any], list[int]] = {}
    for s in range(len(frame.setting_ids)):
        values = frame.params(s)
        members.setdefault((values.get("provider"), values.get("model")), []).append(s)
    return [
        {
            "provider": provider,
            "model": model,
            **describe_cells(costs, costs.cell_matrix[:, settings].ravel()),
        }
        for (provider, model), settings in members.items()
    ]


def by_tag(costs: CellCosts, tags: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """:func:`describe_cells` of each tag, most expensive first; at most 50.

    A prompt with two tags counts under both, so tags do not add up to the run. ``tag`` None stands
    for prompts without tags. Nothing when no prompt has a tag.

    Args:
        costs: the run.
        tags: those of each prompt, in the frame's order of prompts.
    """
    members: dict[str | None, list[int]] = {}
    for prompt, names in enumerate(tags):
        for name in dict.fromkeys(names) or [None]:
            members.setdefault(name, []).append(prompt)
    if not members.keys() - {None}:
        return []
    rows: list[dict[str, Any]] = [
        {"tag": tag, **describe_cells(costs, costs.cell_matrix[prompts].ravel())}
        for tag, prompts in members.items()
    ]
    rows = [row for row in rows if row["trials"]]
    return sorted(rows, key=_by_cost)[:_MAX_TAGS]


def _by_cost(row: dict[str, Any]) -> tuple[Decimal, str]:
    """The sort key: falling cost, then name."""
    total: Decimal | None = row["total_usd"]
    return -(total or Decimal(0)), row["tag"] or ""


def by_prompt(costs: CellCosts) -> dict[str, Any]:
    """The most expensive prompts one by one, and the others as one row, so that they add up.

    Returns:
        ``prompts``: how many; ``most_expensive``: :func:`describe_cells` with ``prompt_id`` and
        ``share`` of the run's known cost, by total cost; ``others``: ``prompts``, ``trials``,
        ``known`` and ``total_usd`` of the rest.
    """
    frame = costs.frame
    trials = frame.matrix(costs.trials).sum(axis=1)
    cost = frame.matrix(costs.cost.per_cell()).sum(axis=1)
    order = np.lexsort((np.arange(len(cost)), -cost))
    order = order[trials[order] > 0]
    run_total = to_usd(costs.cost.total(costs.cell_matrix.ravel()))
    most_expensive: list[dict[str, Any]] = []
    for prompt in order[:_MAX_PROMPTS].tolist():
        row = describe_cells(costs, costs.cell_matrix[prompt])
        spent = row["total_usd"]
        share = None if spent is None or not run_total else float(spent / run_total)
        most_expensive.append({"prompt_id": frame.prompt_ids[prompt], "share": share, **row})
    rest = costs.cell_matrix[order[_MAX_PROMPTS:]].ravel()
    known = int(costs.known[rest].sum())
    others = {
        "prompts": len(order[_MAX_PROMPTS:]),
        "trials": int(costs.trials[rest].sum()),
        "known": known,
        "total_usd": to_usd(costs.cost.total(rest)) if known else None,
    }
    return {"prompts": len(order), "most_expensive": most_expensive, "others": others}


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
