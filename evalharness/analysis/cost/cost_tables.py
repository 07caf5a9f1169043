"""Cost tables of a run: by setting, model, tag and prompt, and projected to a volume.

The figures of each part are those of :class:`~evalharness.analysis.cost.cost_figures.CostFigures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from evalharness.analysis.cost.cell_costs import CellCosts
from evalharness.analysis.cost.cost_figures import CostFigures, describe_cells
from evalharness.pricing.price import to_usd

_MAX_PROMPTS = 20  # listed one by one, most expensive first
_MAX_TAGS = 50


class SettingMoney(CostFigures, frozen=True, kw_only=True):
    """Tokens and money of a setting.

    Attributes:
        setting_id: of the setting.
        label: its name.
    """

    setting_id: str
    label: str


class ModelMoney(CostFigures, frozen=True, kw_only=True):
    """Tokens and money of all settings of a model.

    Attributes:
        provider: its name; null where the records name none (an import).
        model: its name; null where the records name none.
    """

    provider: str | None
    model: str | None


class TagMoney(CostFigures, frozen=True, kw_only=True):
    """Tokens and money of the prompts with a tag; a prompt with two counts under both.

    Attributes:
        tag: its name; null stands for the prompts without tags.
    """

    tag: str | None


class PromptMoney(CostFigures, frozen=True, kw_only=True):
    """Tokens and money of a prompt.

    Attributes:
        prompt_id: of the prompt.
        share: of the run's known cost, in [0, 1]; null where no cost is known, or all is free.
    """

    prompt_id: str
    share: float | None


class OtherPrompts(msgspec.Struct, frozen=True, kw_only=True):
    """Money of the prompts that are not listed one by one.

    Attributes:
        prompts: how many there are.
        trials: their records.
        known: records with a known cost.
        total_usd: US dollars of these; null where none has a known cost.
    """

    prompts: int
    trials: int
    known: int
    total_usd: Decimal | None


class PromptCosts(msgspec.Struct, frozen=True, kw_only=True):
    """Money by prompt: the most expensive prompts and the others add up to the run.

    Attributes:
        prompts: how many have records.
        most_expensive: the 20 with the largest known cost, the largest first.
        others: the rest together.
    """

    prompts: int
    most_expensive: list[PromptMoney]
    others: OtherPrompts


class SettingProjection(msgspec.Struct, frozen=True, kw_only=True):
    """What a setting would cost at a volume of requests like those of the run.

    Attributes:
        setting_id: of the setting.
        label: its name.
        usd: US dollars; null where the mean cost is unknown.
        from_bill: records behind it whose cost is the provider's bill, for want of a price.
        known: records behind it.
        ci95: ``[low, high]`` of it, the interval of the mean carried over; null where that is
            undefined.
        prompt_tokens, completion_tokens: tokens; null where no record has a count.
    """

    setting_id: str
    label: str
    usd: float | None
    from_bill: int
    known: int
    ci95: list[float] | None
    prompt_tokens: float | None
    completion_tokens: float | None


def whole_run(costs: CellCosts) -> CostFigures:
    """The figures of the whole run."""
    return describe_cells(costs, costs.cell_matrix.ravel())


def by_setting(costs: CellCosts) -> list[SettingMoney]:
    """The figures of each setting, in the frame's order."""
    frame = costs.frame
    rows: list[SettingMoney] = []
    for s, setting_id in enumerate(frame.setting_ids):
        money = costs.costs.setting(setting_id)
        figures = describe_cells(costs, costs.cell_matrix[:, s], money)
        rows.append(SettingMoney(setting_id=setting_id, label=frame.label(s), **_values(figures)))
    return rows


def by_model(costs: CellCosts) -> list[ModelMoney]:
    """The figures of each provider and model, in the order of the settings."""
    frame = costs.frame
    members: dict[tuple[Any, Any], list[int]] = {}
    for s in range(len(frame.setting_ids)):
        values = frame.params(s)
        members.setdefault((values.get("provider"), values.get("model")), []).append(s)
    return [
        ModelMoney(
            provider=provider,
            model=model,
            **_values(describe_cells(costs, costs.cell_matrix[:, settings].ravel())),
        )
        for (provider, model), settings in members.items()
    ]


def by_tag(costs: CellCosts, tags: Sequence[Sequence[str]]) -> list[TagMoney]:
    """The figures of each tag, most expensive first; at most 50, nothing when no prompt has a tag.

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
    rows = [
        TagMoney(tag=tag, **_values(describe_cells(costs, costs.cell_matrix[prompts].ravel())))
        for tag, prompts in members.items()
    ]
    return sorted((row for row in rows if row.trials), key=_by_cost)[:_MAX_TAGS]


def _by_cost(row: TagMoney) -> tuple[Decimal, str]:
    """The sort key: falling cost, then name."""
    return -(row.total_usd or Decimal(0)), row.tag or ""


def by_prompt(costs: CellCosts) -> PromptCosts:
    """The most expensive prompts one by one, and the others as one row, so that they add up."""
    frame = costs.frame
    trials = frame.matrix(costs.trials).sum(axis=1)
    cost = frame.matrix(costs.cost.per_cell()).sum(axis=1)
    order = np.lexsort((np.arange(len(cost)), -cost))
    order = order[trials[order] > 0]
    run_total = to_usd(costs.cost.total(costs.cell_matrix.ravel()))
    most_expensive: list[PromptMoney] = []
    dearest: list[int] = order[:_MAX_PROMPTS].tolist()
    for prompt in dearest:
        figures = describe_cells(costs, costs.cell_matrix[prompt])
        spent = figures.total_usd
        share = None if spent is None or not run_total else float(spent / run_total)
        most_expensive.append(
            PromptMoney(prompt_id=frame.prompt_ids[prompt], share=share, **_values(figures))
        )
    rest = costs.cell_matrix[order[_MAX_PROMPTS:]].ravel()
    known = int(costs.known[rest].sum())
    others = OtherPrompts(
        prompts=len(order[_MAX_PROMPTS:]),
        trials=int(costs.trials[rest].sum()),
        known=known,
        total_usd=to_usd(costs.cost.total(rest)) if known else None,
    )
    return PromptCosts(prompts=len(order), most_expensive=most_expensive, others=others)


def projection(rows: Sequence[SettingMoney], volume: float) -> list[SettingProjection]:
    """What each setting would cost at a volume of requests like these."""
    return [
        SettingProjection(
            setting_id=row.setting_id,
            label=row.label,
            usd=_times(row.mean_usd, volume),
            from_bill=row.from_bill,
            known=row.known,
            ci95=None if row.ci95 is None else [end * volume for end in row.ci95],
            prompt_tokens=_times(row.tokens["prompt_tokens"].mean, volume),
            completion_tokens=_times(row.tokens["completion_tokens"].mean, volume),
        )
        for row in rows
    ]


def _times(mean: float | None, volume: float) -> float | None:
    return None if mean is None else mean * volume


def _values(figures: CostFigures) -> dict[str, Any]:
    """The figures by name, for a row that has more."""
    return msgspec.structs.asdict(figures)
