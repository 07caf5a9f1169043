"""What judges said of a run: ``data["judges"]``, and the same in lines for a terminal.

The cost of judging stands apart from the cost of the run: it is no property of a setting.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.agreement.determinism import agreement
from evalharness.analysis.data import json_values
from evalharness.analysis.data.frame import COLUMNS, Frame
from evalharness.judging import Judging, judgings, open_judging
from evalharness.judging.judge_results import Reply
from evalharness.judging.outputs import Outputs, Pair
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import cost_columns
from evalharness.report.words import format_numbers as n
from evalharness.store.folder.run import Run

_VALUE = {("ab", "1"): 1.0, ("ab", "2"): 0.0, ("ba", "1"): 0.0, ("ba", "2"): 1.0}


def judges(run: Run) -> list[dict[str, Any]]:
    """Describe every judging of a run, by name; see :func:`judging_facts`."""
    found = (judging_facts(run, name) for name in judgings(run.root))
    return [facts for facts in found if facts is not None]


def judging_facts(run: Run, name: str) -> dict[str, Any] | None:
    """Describe one judging; None when the run has none of that name.

    Returns:
        ``name``, ``mode``, ``provider``, ``model``, ``rubric``, ``scale``, ``repeats``,
        ``status``; ``planned`` things to judge (distinct outputs, or ordered pairs) and ``judged``
        with at least one readable reply; ``asked``, by a number of replies (as a text) how many
        things have as many; ``missing``, replies of the plan that are not recorded; ``replies``, of
        which ``unparsed`` held no verdict and ``failed`` brought none; ``agreement`` of the judge
        with itself between repeats of the same
        question: ``pairwise`` and ``ci95`` over what was judged, ``n`` repeats; an unparsed reply
        agrees with nothing, null below two repeats; ``cost_usd``: ``total`` in US dollars of every
        reply, those to earlier rubrics too, over ``n`` replies with a known cost out of
        ``replies``, and ``billed_total``, what the provider says it billed, over ``billed_n``;
        null when none is known; ``pairwise``: see :func:`_preference`, null when
        outputs were graded.

    """
    judging = open_judging(run, name)
    if judging is None:
        return None
    config, replies = judging.config, judging.replies
    readable = {(r.key, r.order) for r in replies if r.verdict is not None}
    asked = Counter((r.key, r.order) for r in replies)
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
        "asked": {str(n): c for n, c in sorted(Counter(asked.values()).items())},
        "missing": len(judging.prompts) * config.repeats - len(replies),
        "replies": len(replies),
        "unparsed": sum(r.verdict is None and not r.failed for r in replies),
        "failed": sum(r.failed for r in replies),
        "agreement": _agreement(judging),
        "cost_usd": _cost(judging),
        "pairwise": _preference(run, judging) if config.mode == "pairwise" else None,
    }


def _agreement(judging: Judging) -> dict[str, Any]:
    """How often the judge repeats itself, by the definitions that hold for any answer."""
    records = judging.records(list(COLUMNS))
    nothing = {"pairwise": None, "ci95": None, "n": 0, "prompts": 0}
    if not len(records):
        return nothing
    # Replies come from the same table in the same order.
    answers = np.array([r.verdict for r in judging.replies], dtype=object)
    frame = Frame.build(records, judging.prompts, judging.settings, answers=answers)
    row = agreement(frame, frame.answer_variants)[0]
    return {key: row[key] for key in nothing}


def _cost(judging: Judging) -> dict[str, Any]:
    source = judging.config.provider.profile.price_source
    aliases = {judging.config.provider.name: source} if source else {}
    book = PriceBook.load(overrides=judging.config.pricing, aliases=aliases)
    records = judging.run.table("records", [*COLUMNS, "provider", "model"])
    if not len(records):
        return {"total": None, "n": 0, "billed_total": None, "billed_n": 0, "replies": 0}
    cost = cost_columns(records, book).cost_usd
    known = cost[~np.isnan(cost)].tolist()
    billed = [float(usd) for usd in records["billed_usd"].to_pylist() if usd is not None]
    return {
        "total": math.fsum(known) if known else None,
        "n": len(known),
        "billed_total": math.fsum(billed) if billed else None,
        "billed_n": len(billed),
        "replies": len(records),
    }


def _preference(run: Run, judging: Judging) -> dict[str, Any]:
    """Which of two settings the judge prefers, and how much position decides.

    Returns:
        ``a``, ``b``: labels as configured; ``pairs`` of outputs, of which ``identical`` count as
        ties unasked; ``prompts`` with a known verdict; ``preference``: share preferring a, a tie
        counting half, mean over orders and repeats, then pairs, then prompts, with ``ci95`` and
        ``p`` of a sign-flip test of "no preference" (the prompt is the unit); ``verdicts``:
        replies for ``a``, ``b`` and ``tie``; ``position``: ``first``, share of replies other than
        ties that name the output shown first, with Wilson's ``ci95`` (0.5 is unbiased when both
        orders are asked) over ``n``, and ``consistent``, share of pairs asked in both orders with
        the same verdict, over ``both`` of them. Shares are null where there is nothing to count.

    """
    config = judging.config
    assert config.a is not None
    assert config.b is not None
    outputs = Outputs(run)
    pairs = outputs.pairs(outputs.setting(config.a), outputs.setting(config.b))
    replies: dict[str, list[Reply]] = defaultdict(list)
    for reply in judging.replies:
        if reply.verdict is not None:
            replies[reply.key].append(reply)
    by_prompt = _by_prompt(pairs, replies)
    read = [reply for group in replies.values() for reply in group]
    values = [_value(reply) for reply in read]
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
        "position": _position(read),
    }


def _value(reply: Reply) -> float:
    return _VALUE.get((reply.order or "", reply.verdict or ""), 0.5)


def _by_prompt(pairs: Sequence[Pair], replies: dict[str, list[Reply]]) -> Any:
    """The preference of each prompt that has a verdict; repeats that gave the pair weigh it."""
    total: dict[str, float] = defaultdict(float)
    weight: dict[str, int] = defaultdict(int)
    for pair in pairs:
        values = [_value(r) for r in sorted(replies[pair.key], key=_asked)]
        if pair.identical:
            values = [0.5]
        if values:
            total[pair.a.prompt_id] += pair.count * _balanced(pair, replies, values)
            weight[pair.a.prompt_id] += pair.count
    return np.array([total[key] / weight[key] for key in sorted(total)], dtype=np.float64)


def _balanced(pair: Pair, replies: dict[str, list[Reply]], values: list[float]) -> float:
    """The mean of each order's mean: a lost reply must not let the other order weigh more."""
    orders = [[_value(r) for r in replies[pair.key] if r.order == order] for order in ("ab", "ba")]
    means = [sum(found) / len(found) for found in orders if found]
    return sum(means) / len(means) if means else sum(values) / len(values)


def _asked(reply: Reply) -> tuple[str, int]:
    return reply.order or "", reply.repeat


def _position(replies: Sequence[Reply]) -> dict[str, Any]:
    decided = [reply.verdict == "1" for reply in replies if reply.verdict != "tie"]
    asked: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for reply in replies:
        asked[reply.key, reply.repeat][reply.order or ""] = _value(reply)
    both = [found for found in asked.values() if len(found) == 2]
    same = sum(found["ab"] == found["ba"] for found in both)
    return {
        "first": sum(decided) / len(decided) if decided else None,
        "ci95": json_values.share_interval(sum(decided), len(decided)),
        "n": len(decided),
        "consistent": same / len(both) if both else None,
        "both": len(both),
    }


# ── for a person ─────────────────────────────────────────────────────────────────────────────────


def judge_lines(facts: dict[str, Any]) -> list[str]:
    """One judging in sentences."""
    what = "outputs" if facts["mode"] == "grade" else "ordered pairs"
    lines = [
        f"judge `{facts['name']}` ({facts['model']} at {facts['provider']}): {facts['judged']} of "
        f"{facts['planned']} {what} judged{_repeated(facts)}; of {facts['replies']} "
        f"replies {facts['unparsed']} held no verdict, {facts['failed']} failed"
    ]
    own = facts["agreement"]
    if own["pairwise"] is not None:
        lines.append(
            f"  the judge agrees with itself in {own['pairwise']:.1%} of pairs of repeats"
            f"{_ends(own['ci95'])}"
        )
    else:
        lines.append("  how far the judge agrees with itself is unknown: repeats=3 would show it")
    cost = facts["cost_usd"]
    if cost["total"] is None:
        lines.append("  cost of judging unknown")
    else:
        known = "" if cost["n"] == cost["replies"] else f" (known for {cost['n']} replies)"
        usd = n.dollars(cost["total"])
        lines.append(f"  judging cost {usd}, not part of the run's cost{known}")
    if cost["billed_total"] is not None:
        lines.append(f"  the provider says it billed {n.dollars(cost['billed_total'])} for it")
    if facts["pairwise"] is not None:
        lines += _pairwise_lines(facts["pairwise"])
    return lines


def _repeated(facts: dict[str, Any]) -> str:
    """How often they were judged; where some are missing, how many have all and what is missing."""
    repeats, missing = facts["repeats"], facts["missing"]
    if not missing:
        return "" if repeats == 1 else f", {_times(repeats)} each"
    whole = facts["asked"].get(str(repeats), 0)
    all_of_them = "" if repeats == 1 else f", {whole} of them {_times(repeats)}"
    return f"{all_of_them}, {missing} {'judgement' if missing == 1 else 'judgements'} missing"


def _times(repeats: int) -> str:
    return {1: "once", 2: "twice"}.get(repeats, f"{repeats} times")


def _pairwise_lines(found: dict[str, Any]) -> list[str]:
    a, b, share = found["a"], found["b"], found["preference"]
    if share is None:
        return [f"  no verdict on {a} against {b} could be read"]
    detectable = found["p"] is not None and found["p"] < 0.05
    better = a if share > 0.5 else b
    verdict = f"{better} is preferred" if detectable else "no preference is detectable"
    p = "" if found["p"] is None else f", p={found['p']:.3g}"
    lines = [
        f"  {verdict}: {a} over {b} in {share:.1%}{_ends(found['ci95'])}{p}, ties half, "
        f"n={found['prompts']} prompts; {found['identical']} of {found['pairs']} pairs identical"
    ]
    position = found["position"]
    if position["first"] is not None:
        consistent = position["consistent"]
        both = "" if consistent is None else f"; the same verdict in both orders: {consistent:.1%}"
        lines.append(
            f"  position: the first output is named in {position['first']:.1%}"
            f"{_ends(position['ci95'])}{both}"
        )
    return lines


def _ends(ci95: list[float] | None) -> str:
    return "" if ci95 is None else f" [{ci95[0]:.1%}, {ci95[1]:.1%}]"
