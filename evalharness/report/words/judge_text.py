"""Sentences about the judgings of a run, for console, page and Markdown."""

from __future__ import annotations

from typing import Any

from evalharness.report.words.format_numbers import dollars


def judge_lines(facts: dict[str, Any]) -> list[str]:
    """Describe one judging, a result of :func:`~evalharness.report.build.judges.judging_facts`."""
    what = "outputs" if facts["mode"] == "grade" else "ordered pairs"
    lines = [
        f"judge `{facts['name']}` ({facts['model']} at {facts['provider']}): {facts['judged']} of "
        f"{facts['planned']} {what} judged{_repeats_text(facts)}; of {facts['replies']} "
        f"replies {facts['unparsed']} held no verdict, {facts['failed']} failed"
    ]
    agreement = facts["agreement"]
    if agreement["pairwise"] is not None:
        lines.append(
            f"  the judge agrees with itself in {agreement['pairwise']:.1%} of pairs of repeats"
            f"{_ends(agreement['ci95'])}"
        )
    else:
        lines.append("  how far the judge agrees with itself is unknown: repeats=3 would show it")
    cost = facts["cost_usd"]
    if cost["total"] is None:
        lines.append("  cost of judging unknown")
    else:
        known = "" if cost["n"] == cost["replies"] else f" (known for {cost['n']} replies)"
        usd = dollars(cost["total"])
        lines.append(f"  judging cost {usd}, not part of the run's cost{known}")
    if cost["billed_total"] is not None:
        lines.append(f"  the provider says it billed {dollars(cost['billed_total'])} for it")
    if facts["pairwise"] is not None:
        lines += _pairwise_lines(facts["pairwise"])
    return lines


def _repeats_text(facts: dict[str, Any]) -> str:
    """How often things were judged; where replies are missing, how many things have all."""
    repeats, missing = facts["repeats"], facts["missing"]
    if not missing:
        return "" if repeats == 1 else f", {_times_text(repeats)} each"
    complete = facts["asked"].get(str(repeats), 0)
    judged = "" if repeats == 1 else f", {complete} of them {_times_text(repeats)}"
    return f"{judged}, {missing} {'judgement' if missing == 1 else 'judgements'} missing"


def _times_text(repeats: int) -> str:
    return {1: "once", 2: "twice"}.get(repeats, f"{repeats} times")


def _pairwise_lines(facts: dict[str, Any]) -> list[str]:
    a, b, share = facts["a"], facts["b"], facts["preference"]
    if share is None:
        return [f"  no verdict on {a} against {b} could be read"]
    detectable = facts["p"] is not None and facts["p"] < 0.05
    better = a if share > 0.5 else b
    verdict = f"{better} is preferred" if detectable else "no preference is detectable"
    p = "" if facts["p"] is None else f", p={facts['p']:.3g}"
    lines = [
        f"  {verdict}: {a} over {b} in {share:.1%}{_ends(facts['ci95'])}{p}, ties half, "
        f"n={facts['prompts']} prompts; {facts['identical']} of {facts['pairs']} pairs identical"
    ]
    position = facts["position"]
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
