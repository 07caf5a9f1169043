"""Figures of conversations by turn: times, prompt tokens, and what came from the prefix cache.

The independent unit is the conversation (or the cluster that its row names), whose repeats are not
independent of each other either.
"""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import amount_interval
from evalharness.analysis.data.statuses import ERROR
from evalharness.analysis.latency import Durations, describe_durations


class TurnMean(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over the answers to a turn.

    Attributes:
        mean: null where nothing is known.
        ci95: its 95 % interval ``[low, high]`` over conversations; null where undefined.
        n: answers with a value.
    """

    mean: float | None = None
    ci95: list[float] | None = None
    n: int = 0


class TurnFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One turn under one setting. Times count from sending, errors are in none.

    Attributes:
        turn: from 1.
        conversations: that have this turn recorded.
        answers: delivered.
        failed: trials recorded as errors, those not sent because of an earlier turn included.
        ttft_s: seconds to the first token. Streamed.
        latency_s: seconds to the complete answer.
        prompt_tokens: of a request, as the server counts them.
        completion_tokens: of an answer.
        cached_share: cached tokens / prompt tokens of all answers with both counts.
    """

    turn: int
    conversations: int
    answers: int
    failed: int
    ttft_s: Durations
    latency_s: Durations
    prompt_tokens: TurnMean
    completion_tokens: TurnMean
    cached_share: TurnMean


class SettingTurns(msgspec.Struct, frozen=True, kw_only=True):
    """The turns of one setting.

    Attributes:
        setting_id: the setting.
        label: what varies within the run.
        turns: the first one first.
    """

    setting_id: str
    label: str
    turns: list[TurnFigures]


def turn_figures(frame: RunFrame, turn_of: dict[str, int]) -> list[SettingTurns]:
    """The figures of every turn under every setting.

    Args:
        frame: the records.
        turn_of: the turn of a prompt by its id; prompts that are no turns are absent.
    """
    number = np.array([turn_of.get(prompt, 0) for prompt in frame.prompt_ids], np.int64)
    turn = number[frame.prompt]
    settings: list[SettingTurns] = []
    for index, setting in enumerate(frame.setting_ids):
        part = np.zeros(len(turn), np.bool_)
        part[frame.rows_of(index)] = True
        numbers: list[int] = np.unique(turn[part & (turn > 0)]).tolist()
        turns = [_figures(frame, part & (turn == k), k) for k in numbers]
        settings.append(SettingTurns(setting_id=setting, label=frame.label(index), turns=turns))
    return settings


def _figures(frame: RunFrame, rows: Bools, turn: int) -> TurnFigures:
    units = frame.unit_of_prompt[frame.prompt[rows]]
    values = {
        name: frame.usable_values(name)[rows]
        for name in ("ttft_s", "latency_s", "prompt_tokens", "completion_tokens", "cached_tokens")
    }
    failed = int((frame.status[rows] == ERROR).sum())
    return TurnFigures(
        turn=turn,
        conversations=len(np.unique(frame.prompt[rows])),
        answers=int(rows.sum()) - failed,
        failed=failed,
        ttft_s=describe_durations(values["ttft_s"], units),
        latency_s=describe_durations(values["latency_s"], units),
        prompt_tokens=_mean(values["prompt_tokens"], units),
        completion_tokens=_mean(values["completion_tokens"], units),
        cached_share=_share(values["cached_tokens"], values["prompt_tokens"], units),
    )


def _mean(values: Floats, units: Ints) -> TurnMean:
    known = ~np.isnan(values)
    if not known.any():
        return TurnMean()
    return TurnMean(
        mean=float(values[known].mean()),
        ci95=amount_interval(values[known], units[known]),
        n=int(known.sum()),
    )


def _share(parts: Floats, wholes: Floats, units: Ints) -> TurnMean:
    """Sum of parts / sum of wholes; a unit counts as many values as its whole has tokens."""
    known = ~np.isnan(parts) & (wholes > 0)
    if not known.any():
        return TurnMean()
    _, codes = np.unique(units[known], return_inverse=True)
    sums = np.bincount(codes, parts[known]).astype(np.float64)
    sizes = np.bincount(codes, wholes[known]).astype(np.float64)
    # As an amount: tokens of one prompt are cached together, and are no independent trials.
    ends = stats.ratio_ci(sums, sizes, scale="amount")
    return TurnMean(
        mean=float(sums.sum() / sizes.sum()),
        ci95=None if ends is None else [max(0.0, ends[0]), min(1.0, ends[1])],
        n=int(known.sum()),
    )
