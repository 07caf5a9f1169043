"""Which of two settings a judge prefers, and how much the place of an output decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.judging import Judging
from evalharness.judging.judge_results import JudgeReply
from evalharness.judging.outputs import JudgeableOutputs, OutputPair
from evalharness.store.folder.run import Run

_PREFERENCE = {("ab", "1"): 1.0, ("ab", "2"): 0.0, ("ba", "1"): 0.0, ("ba", "2"): 1.0}


class PositionBias(msgspec.Struct, frozen=True, kw_only=True):
    """How much the place of an output decides.

    Attributes:
        first: share of replies other than ties that name the output shown first, 0 to 1; 0.5 is
            unbiased when both orders are asked; null without such a reply.
        ci95: its 95 % interval (Wilson); null without such a reply.
        n: replies other than ties.
        consistent: share of pairs asked in both orders with the same verdict, 0 to 1; null without
            such a pair.
        both: pairs asked in both orders; each repeat counts.
    """

    first: float | None
    ci95: list[float] | None
    n: int
    consistent: float | None
    both: int


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """Which of two settings a judge prefers; the prompt is the unit.

    Attributes:
        a, b: the settings, as configured.
        pairs: pairs of outputs.
        identical: those of them that count as ties without asking the judge.
        prompts: prompts with a known verdict.
        preference: share preferring ``a``, 0 to 1, a tie counting half: mean over orders and
            repeats, then pairs, then prompts; null without a verdict.
        ci95: its 95 % interval over prompts; null where undefined.
        p: of a sign-flip test of no preference; null where undefined.
        verdicts: replies for ``a``, for ``b`` and for a ``tie``.
        position: how much the place of an output decides.
    """

    a: str
    b: str
    pairs: int
    identical: int
    prompts: int
    preference: float | None
    ci95: list[float] | None
    p: float | None
    verdicts: dict[str, int]
    position: PositionBias


def measure_preference(run: Run, judging: Judging) -> Preference:
    """Which of two settings the judge prefers, and how much position decides."""
    config = judging.config
    assert config.a is not None
    assert config.b is not None
    outputs = JudgeableOutputs(run)
    pairs = outputs.pairs(outputs.setting(config.a), outputs.setting(config.b))
    replies: dict[str, list[JudgeReply]] = defaultdict(list)
    for reply in judging.replies:
        if reply.verdict is not None:
            replies[reply.key].append(reply)
    means = _by_prompt(pairs, replies)
    by_prompt = np.array(list(means.values()), dtype=np.float64)
    clusters = np.array([outputs.clusters[prompt] for prompt in means])
    units = {pair.key: outputs.clusters[pair.a.prompt_id] for pair in pairs}
    verdicts = [reply for group in replies.values() for reply in group]
    values = [_preference_value(reply) for reply in verdicts]
    # From all for b, -1, to all for a, 1: what a difference of shares is.
    test = stats.difference_test(2.0 * by_prompt - 1.0, clusters=clusters)
    ends = test.interval(0)
    return Preference(
        a=config.a,
        b=config.b,
        pairs=sum(pair.count for pair in pairs),
        identical=sum(pair.count for pair in pairs if pair.identical),
        prompts=len(by_prompt),
        preference=json_values.mean(by_prompt),
        ci95=None if ends is None else [(1.0 + end) / 2.0 for end in ends],
        p=json_values.number(test.p[0]),
        verdicts={
            name: values.count(value) for name, value in (("a", 1.0), ("b", 0.0), ("tie", 0.5))
        },
        position=_position(verdicts, units),
    )


def _preference_value(reply: JudgeReply) -> float:
    return _PREFERENCE.get((reply.order or "", reply.verdict or ""), 0.5)


def _by_prompt(
    pairs: Sequence[OutputPair], replies: dict[str, list[JudgeReply]]
) -> dict[str, float]:
    """The preference of each prompt that has a verdict; a pair weighs as often as it occurred."""
    total: dict[str, float] = defaultdict(float)
    weight: dict[str, int] = defaultdict(int)
    for pair in pairs:
        values = [_preference_value(r) for r in sorted(replies[pair.key], key=_question_order)]
        if pair.identical:
            values = [0.5]
        if values:
            total[pair.a.prompt_id] += pair.count * _balanced(pair, replies, values)
            weight[pair.a.prompt_id] += pair.count
    return {key: total[key] / weight[key] for key in sorted(total)}


def _balanced(pair: OutputPair, replies: dict[str, list[JudgeReply]], values: list[float]) -> float:
    """The mean of the means of both orders, so that a lost reply does not change their weight."""
    orders = [
        [_preference_value(r) for r in replies[pair.key] if r.order == order]
        for order in ("ab", "ba")
    ]
    means = [sum(preferences) / len(preferences) for preferences in orders if preferences]
    return sum(means) / len(means) if means else sum(values) / len(values)


def _question_order(reply: JudgeReply) -> tuple[str, int]:
    return reply.order or "", reply.repeat


def _position(replies: Sequence[JudgeReply], unit_of: dict[str, str]) -> PositionBias:
    """How much the place of an output decides; ``unit_of`` a pair, by key, is its cluster."""
    decided = [reply for reply in replies if reply.verdict != "tie"]
    first = [reply.verdict == "1" for reply in decided]
    units = np.unique([unit_of.get(r.key, r.key) for r in decided], return_inverse=True)[1]
    sizes = np.bincount(units).astype(np.float64)
    sums = np.bincount(units, np.array(first, np.float64)).astype(np.float64)
    by_order: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for reply in replies:
        by_order[reply.key, reply.repeat][reply.order or ""] = _preference_value(reply)
    both = [preferences for preferences in by_order.values() if len(preferences) == 2]
    same = sum(preferences["ab"] == preferences["ba"] for preferences in both)
    return PositionBias(
        first=sum(first) / len(first) if first else None,
        ci95=json_values.interval(stats.ratio_ci(sums, sizes, scale="share")) if first else None,
        n=len(first),
        consistent=same / len(both) if both else None,
        both=len(both),
    )
