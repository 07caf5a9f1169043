"""Batch invariance: does a request at temperature 0 give the same output alone and under load?

The same prompts are sent one at a time and under other loads. An output depends on what else the
server works on where the kernels sum in an order that depends on the batch (Thinking Machines Lab,
"Defeating Nondeterminism in LLM Inference", 2025). A server may also be unstable alone, so the
divergence under a load is judged against that of two outputs alone, of different blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import structs

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.invariance.block_shuffle import (
    BlockDivergence,
    BlockOutputs,
    block_divergence,
    block_shuffle_p,
    blocks_differ_p,
)
from evalharness.analysis.invariance.conditions import Condition, ConditionGroup
from evalharness.analysis.invariance.first_difference import different_pairs, first_difference
from evalharness.analysis.invariance.verdicts import (
    BatchInvariance,
    ConditionDivergence,
    DivergenceShare,
    InvarianceVerdict,
    TagDivergence,
)
from evalharness.analysis.parameters.effective_prompts import effective_prompts

MIN_PROMPTS = 2


class _Outputs(NamedTuple):
    """The outputs of a condition and of those alone, and the rows they have in the frame."""

    blocks: BlockOutputs
    alone_rows: Ints
    loaded_rows: Ints


def batch_invariance(
    frame: RunFrame, groups: Sequence[ConditionGroup], tags: Sequence[Sequence[str]]
) -> list[BatchInvariance]:
    """Judge every load of a run against its requests alone.

    Args:
        frame: the run.
        groups: its settings by what they request.
        tags: of each prompt of the frame.
    """
    flips = stats.SignFlips(clusters=frame.clusters)
    judged = [group for group in groups if _is_asked_for(group)]
    rows = [_group(frame, group, tags) for group in judged]
    for group, row in zip(judged, rows, strict=True):
        for condition, result in zip(group.others, row.conditions, strict=True):
            if result.p is not None:
                blocks = _outputs(frame, group.alone, condition).blocks
                flips.add(block_divergence(blocks).excess, p=result.p)
    tests = flips.tests()
    p_values = [p for row in rows for p in _p_values(row)]
    adjusted = iter(stats.holm(np.array(p_values, np.float64))[0].tolist())
    columns = itertools.count()
    return [_with_tests(row, tests, columns, adjusted) for row in rows]


def _p_values(row: BatchInvariance) -> list[float]:
    """The tests of a group: of its blocks alone, then of its loads."""
    tested = [row.blocks_p, *(each.p for each in row.conditions)]
    return [p for p in tested if p is not None]


def _with_tests(
    row: BatchInvariance, tests: stats.FlipTests, columns: Iterator[int], adjusted: Iterator[float]
) -> BatchInvariance:
    """The group with adjusted p values, intervals and verdicts, which are taken in order."""
    if row.blocks_p is not None:
        row = structs.replace(row, blocks_p_adjusted=next(adjusted))
    conditions: list[ConditionDivergence] = []
    for each in row.conditions:
        if each.p is not None:
            each = structs.replace(
                each,
                p_adjusted=next(adjusted),
                excess_ci95=json_values.interval(tests.interval(next(columns))),
            )
        conditions.append(_with_verdict(each, blocks_differ=row.blocks_differ))
    return structs.replace(row, conditions=conditions)


def _is_asked_for(group: ConditionGroup) -> bool:
    """Whether the loads are those of the experiment, or the requests at temperature 0."""
    return bool(group.others) and (group.named or (group.temperature == 0 and bool(group.alone)))


def _why_not(group: ConditionGroup) -> str | None:
    if group.temperature is None:
        return "the requests were sent without a temperature, and texts that are drawn differ"
    if group.temperature != 0:
        return f"texts at temperature {group.temperature:g} are drawn, and differ by themselves"
    if not group.alone:
        return "no load point sends one request at a time"
    return None


def _group(
    frame: RunFrame, group: ConditionGroup, tags: Sequence[Sequence[str]]
) -> BatchInvariance:
    why = _why_not(group)
    nothing = _Outputs(_empty(frame), np.zeros(0, np.int64), np.zeros(0, np.int64))
    alone = (nothing if why else _outputs(frame, group.alone, None)).blocks
    shares = block_divergence(alone)
    return BatchInvariance(
        label=group.label,
        model=frame.params(group.conditions[0].setting).get("model"),
        setting_ids=[frame.setting_ids[each.setting] for each in group.alone],
        blocks=len(group.alone),
        repeats=max((_repeats(frame, each) for each in group.alone), default=0),
        alone=_share(frame, shares.alone),
        within=_share(frame, shares.within),
        blocks_p=None if why else blocks_differ_p(alone),
        conditions=[_condition(frame, group, each, tags, why) for each in group.others],
        why=why,
    )


def _condition(
    frame: RunFrame,
    group: ConditionGroup,
    condition: Condition,
    tags: Sequence[Sequence[str]],
    why: str | None,
) -> ConditionDivergence:
    outputs = _outputs(frame, group.alone, condition)
    shares = block_divergence(outputs.blocks)
    if why is not None:
        shares = BlockDivergence(*(np.full(len(frame.prompt_ids), np.nan) for _ in range(3)))
    compared = np.isfinite(shares.under_load)
    if why is None and compared.sum() < MIN_PROMPTS:
        count = int(compared.sum())
        why = (
            f"{count or 'no'} prompt{'' if count == 1 else 's'} answered alone and under this load"
        )
    row = ConditionDivergence(
        setting_id=frame.setting_ids[condition.setting],
        condition=condition.name,
        repeats=_repeats(frame, condition),
        divergence=_share(frame, shares.under_load),
        why=why,
    )
    if why is not None:
        return row
    pairs = different_pairs(frame, outputs.alone_rows, outputs.loaded_rows)
    return structs.replace(
        row,
        excess=json_values.mean(shares.excess),
        p=block_shuffle_p(outputs.blocks),
        first_difference=first_difference(frame, pairs) if pairs else None,
        tags=_by_tag(frame, shares.under_load, tags),
    )


def _with_verdict(row: ConditionDivergence, *, blocks_differ: bool) -> ConditionDivergence:
    verdict: InvarianceVerdict = "unclear" if blocks_differ else "as alone"
    if row.why is not None:
        verdict = "not measurable"
    elif not row.divergence.parted:
        verdict = "no divergence"
    elif row.p is None:
        verdict = "not tested"
    elif row.p_adjusted is not None and row.p_adjusted < stats.ALPHA:
        verdict = "parts"
    return structs.replace(row, verdict=verdict)


def _by_tag(
    frame: RunFrame, under_load: Floats, tags: Sequence[Sequence[str]]
) -> list[TagDivergence]:
    """The divergence of each tag, where the prompts compared have several."""
    compared = np.isfinite(under_load)
    names = sorted({tag for index in np.flatnonzero(compared).tolist() for tag in tags[index]})
    if len(names) < 2:
        return []
    has_tag = {name: np.array([name in own for own in tags], np.bool_) for name in names}
    return [
        TagDivergence(tag=name, divergence=_share(frame, np.where(own, under_load, np.nan)))
        for name, own in has_tag.items()
    ]


def _share(frame: RunFrame, rates: Floats) -> DivergenceShare:
    known: Bools = np.isfinite(rates)
    prompts, parted = int(known.sum()), int((rates[known] > 0).sum())
    any_parts = np.where(known, (rates > 0).astype(np.float64), np.nan)
    bound = None
    if prompts and not parted:
        bound = stats.divergence_bound(effective_prompts(frame, known))
    return DivergenceShare(
        prompts=prompts,
        parted=parted,
        parted_ci95=json_values.share_interval(any_parts, frame.clusters),
        rate=json_values.mean(rates),
        rate_ci95=json_values.share_interval(rates, frame.clusters),
        rate_below=bound,
    )


def _repeats(frame: RunFrame, condition: Condition) -> int:
    rows = frame.rows_of(condition.setting)
    return int(np.bincount(frame.prompt[rows][frame.known[rows]]).max(initial=0))


def _empty(frame: RunFrame) -> BlockOutputs:
    none = np.zeros(0, np.int64)
    return BlockOutputs(none, none, none, len(frame.prompt_ids), 1)


def _outputs(frame: RunFrame, alone: Sequence[Condition], condition: Condition | None) -> _Outputs:
    """The known outputs alone, and under one load, by prompt."""
    settings = [each.setting for each in alone]
    settings += [] if condition is None else [condition.setting]
    parts = [np.arange(len(frame.rows))[frame.rows_of(setting)] for setting in settings]
    parts = [rows[frame.known[rows]] for rows in parts]
    none = np.zeros(0, np.int64)
    rows = np.concatenate([none, *parts])
    block = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    prompt = frame.prompt[rows].astype(np.int64)
    order = np.lexsort((block, prompt))
    blocks = BlockOutputs(
        prompt[order], frame.output[rows][order].astype(np.int64), block[order],
        len(frame.prompt_ids), max(1, len(alone)),
    )  # fmt: skip
    loaded = none if condition is None else parts[-1]
    return _Outputs(blocks, np.concatenate([none, *parts[: len(alone)]]), loaded)
