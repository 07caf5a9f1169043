"""The report's ``judges``: agreement, preference and cost of each judging of a run.

The cost of judging is not part of the cost of the run, because it is no property of a setting.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.agreement.agreement import agreement
from evalharness.analysis.data import json_values
from evalharness.analysis.data.frame import COLUMNS
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.judging import Judging, judging_names, open_judging
from evalharness.judging.judge_results import JudgeReply
from evalharness.judging.outputs import JudgeableOutputs, OutputPair
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import cost_columns
from evalharness.store.folder.run import Run

_PREFERENCE = {("ab", "1"): 1.0, ("ab", "2"): 0.0, ("ba", "1"): 0.0, ("ba", "2"): 1.0}


def judges_section(run: Run) -> list[dict[str, Any]]:
    """Describe every judging of a run, by name; see :func:`judging_facts`."""
    judgings = (judging_facts(run, name) for name in judging_names(run.root))
    return [facts for facts in judgings if facts is not None]


def judging_facts(run: Run, name: str) -> dict[str, Any] | None:
    """Describe one judging; None when the run has none of that name.

    Returns:
        ``name``, ``mode``, ``provider``, ``model``, ``rubric``, ``scale``, ``repeats``,
        ``status``; ``planned`` things to judge (distinct outputs, or ordered pairs) and ``judged``
        with at least one readable reply; ``asked``, how many things have a number of replies, by
        that number (as a text); ``missing``, replies of the plan that are not recorded;
        ``replies``, of which ``unparsed`` held no verdict and ``failed`` are errors; ``agreement``
        of the judge with itself between repeats of the same question: ``pairwise`` and ``ci95``
        over what was judged, ``n`` repeats; an unparsed reply agrees with nothing, null below two
        repeats; ``cost_usd``: ``total`` in US dollars of every reply, those to earlier rubrics too,
        over ``n`` replies with a known cost out of ``replies``, and ``billed_total``, what the
        provider says it billed, over ``billed_n``; null when none is known; ``pairwise``: see
        :func:`_preference`, null when outputs were graded.
    """
    judging = open_judging(run, name)
    if judging is None:
        return None
    config, replies = judging.config, judging.replies
    readable = {(r.key, r.order) for r in replies if r.verdict is not None}
    replies_per_question = Counter((r.key, r.order) for r in replies)
    questions = Counter(replies_per_question.values())
    return {
        "name": name,
        "mode": config.mode,
        "provider": config.provider.name,
        "model": config.provider.model,
        "rubric": config.rubric_text,
        "scale": list(config.scale) if config.mode == "grade" else None,
        "repeats": config.repeats,
        "status": judging.run.manifest.status,
        "planned": len(judging.prompts),
        "judged": len(readable),
        "asked": {str(n): count for n, count in sorted(questions.items())},
        "missing": len(judging.prompts) * config.repeats - len(replies),
        "replies": len(replies),
        "unparsed": sum(r.verdict is None and not r.failed for r in replies),
        "failed": sum(r.failed for r in replies),
        "agreement": _agreement(judging),
        "cost_usd": _cost(judging),
        "pairwise": _preference(run, judging) if config.mode == "pairwise" else None,
    }


def _agreement(judging: Judging) -> dict[str, Any]:
    """Agreement of repeated verdicts, computed like the agreement of any answers."""
    records = judging.records(list(COLUMNS))
    unknown = {"pairwise": None, "ci95": None, "n": 0, "prompts": 0}
    if not len(records):
        return unknown
    # Replies are in the order of the records.
    answers = np.array([r.verdict for r in judging.replies], dtype=object)
    frame = build_frame(records, judging.prompts, judging.settings, answers=answers)
    row = agreement(frame, frame.answer_variants)[0]
    return {key: row[key] for key in unknown}


def _cost(judging: Judging) -> dict[str, Any]:
    source = judging.config.provider.profile.price_source
    aliases = {judging.config.provider.name: source} if source else {}
    book = PriceBook.read(overrides=judging.config.pricing, aliases=aliases)
    records = judging.run.table("records", [*COLUMNS, "provider", "model"])
    if not len(records):
        return {"total": None, "n": 0, "billed_total": None, "billed_n": 0, "replies": 0}
    parts = cost_columns(records, book).settings.values()
    totals = [part.total_usd for part in parts if part.total_usd is not None]
    bills = [part.billed_total_usd for part in parts if part.billed_total_usd is not None]
    return {
        "total": float(sum(totals)) if totals else None,
        "n": sum(part.known for part in parts),
        "billed_total": float(sum(bills)) if bills else None,
        "billed_n": sum(part.billed_rows for part in parts),
        "replies": len(records),
    }


def _preference(run: Run, judging: Judging) -> dict[str, Any]:
    """Which of two settings the judge prefers, and how much position decides.

    Returns:
        ``a``, ``b``: labels as configured; ``pairs`` of outputs, of which ``identical`` count as
        ties without asking the judge; ``prompts`` with a known verdict; ``preference``: share
        preferring a, a tie counting half, mean over orders and repeats, then pairs, then prompts,
        with ``ci95`` and ``p`` of a sign-flip test of "no preference" (the prompt is the unit);
        ``verdicts``:
        replies for ``a``, ``b`` and ``tie``; ``position``: ``first``, share of replies other than
        ties that name the output shown first, with Wilson's ``ci95`` (0.5 is unbiased when both
        orders are asked) over ``n``, and ``consistent``, share of pairs asked in both orders with
        the same verdict, over ``both`` of them. Shares are null where there is nothing to count.
    """
    config = judging.config
    assert config.a is not None
    assert config.b is not None
    outputs = JudgeableOutputs(run)
    pairs = outputs.pairs(outputs.setting(config.a), outputs.setting(config.b))
    replies: dict[str, list[JudgeReply]] = defaultdict(list)
    for reply in judging.replies:
        if reply.verdict is not None:
            replies[reply.key].append(reply)
    by_prompt = _by_prompt(pairs, replies)
    verdicts = [reply for group in replies.values() for reply in group]
    values = [_preference_value(reply) for reply in verdicts]
    centred = by_prompt - 0.5
    p = stats.sign_flip(centred[:, None], seed=0)[0] if len(by_prompt) else None
    return {
        "a": config.a,
        "b": config.b,
        "pairs": sum(pair.count for pair in pairs),
        "identical": sum(pair.count for pair in pairs if pair.identical),
        "prompts": len(by_prompt),
        "preference": json_values.mean(by_prompt),
        "ci95": json_values.mean_interval(by_prompt),
        "p": json_values.number(p),
        "verdicts": {
            name: values.count(value) for name, value in (("a", 1.0), ("b", 0.0), ("tie", 0.5))
        },
        "position": _position(verdicts),
    }


def _preference_value(reply: JudgeReply) -> float:
    return _PREFERENCE.get((reply.order or "", reply.verdict or ""), 0.5)


def _by_prompt(pairs: Sequence[OutputPair], replies: dict[str, list[JudgeReply]]) -> Any:
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
    return np.array([total[key] / weight[key] for key in sorted(total)], dtype=np.float64)


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


def _position(replies: Sequence[JudgeReply]) -> dict[str, Any]:
    first = [reply.verdict == "1" for reply in replies if reply.verdict != "tie"]
    by_order: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for reply in replies:
        by_order[reply.key, reply.repeat][reply.order or ""] = _preference_value(reply)
    both = [preferences for preferences in by_order.values() if len(preferences) == 2]
    same = sum(preferences["ab"] == preferences["ba"] for preferences in both)
    return {
        "first": sum(first) / len(first) if first else None,
        "ci95": json_values.share_interval(sum(first), len(first)),
        "n": len(first),
        "consistent": same / len(both) if both else None,
        "both": len(both),
    }
