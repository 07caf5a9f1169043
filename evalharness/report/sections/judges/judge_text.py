"""Sentences about the judgings of a run, for console, page and Markdown."""

from __future__ import annotations

from evalharness.report.sections.judges.judging_summary import JudgingSummary
from evalharness.report.sections.judges.preference import Preference
from evalharness.report.words.cost_origin import cost_mark, with_mark
from evalharness.report.words.format_numbers import dollars
from evalharness.report.words.unknown_cost_text import unknown_cost_text, unknown_reasons_text


def judge_lines(summary: JudgingSummary) -> list[str]:
    """Describe one judging in lines; those after the first are indented by two."""
    what = "outputs" if summary.mode == "grade" else "ordered pairs"
    lines = [
        f"judge `{summary.name}` ({summary.model} at {summary.provider}): {summary.judged} of "
        f"{summary.planned} {what} judged{_repeats_text(summary)}; of {summary.replies} "
        f"replies {summary.unparsed} held no verdict, {summary.failed} failed"
    ]
    agreement = summary.agreement
    if agreement.pairwise is not None:
        lines.append(
            f"  the judge agrees with itself in {agreement.pairwise:.1%} of pairs of repeats"
            f"{_ends(agreement.ci95)}"
        )
    else:
        lines.append("  how far the judge agrees with itself is unknown: repeats=3 would show it")
    cost = summary.cost_usd
    if cost.total is None:
        why = unknown_reasons_text(cost.unknown_reasons) or "no replies"
        lines.append(f"  cost of judging unknown ({why})")
    else:
        known = f"; {unknown_cost_text(cost.unknown_reasons)}" if cost.unknown_reasons else ""
        usd = with_mark(dollars(cost.total), cost_mark(cost.from_bill, cost.n))
        lines.append(f"  judging cost {usd}, not part of the run's cost{known}")
    if cost.billed_total is not None:
        lines.append(f"  the provider says it billed {dollars(cost.billed_total)} for it")
    if summary.pairwise is not None:
        lines += _pairwise_lines(summary.pairwise)
    return lines


def _repeats_text(summary: JudgingSummary) -> str:
    """How often things were judged; where replies are missing, how many things have all."""
    repeats, missing = summary.repeats, summary.missing
    if not missing:
        return "" if repeats == 1 else f", {_times_text(repeats)} each"
    complete = summary.questions_by_replies.get(str(repeats), 0)
    judged = "" if repeats == 1 else f", {complete} of them {_times_text(repeats)}"
    return f"{judged}, {missing} {'judgement' if missing == 1 else 'judgements'} missing"


def _times_text(repeats: int) -> str:
    return {1: "once", 2: "twice"}.get(repeats, f"{repeats} times")


def _pairwise_lines(preference: Preference) -> list[str]:
    a, b, share = preference.a, preference.b, preference.preference
    if share is None:
        return [f"  no verdict on {a} against {b} could be read"]
    detectable = preference.p is not None and preference.p < 0.05
    better = a if share > 0.5 else b
    verdict = f"{better} is preferred" if detectable else "no preference is detectable"
    p = "" if preference.p is None else f", p={preference.p:.3g}"
    lines = [
        f"  {verdict}: {a} over {b} in {share:.1%}{_ends(preference.ci95)}{p}, ties half, "
        f"n={preference.prompts} prompts; {preference.identical} of {preference.pairs} pairs "
        "identical"
    ]
    position = preference.position
    if position.first is not None:
        consistent = position.consistent
        both = "" if consistent is None else f"; the same verdict in both orders: {consistent:.1%}"
        lines.append(
            f"  position: the first output is named in {position.first:.1%}"
            f"{_ends(position.ci95)}{both}"
        )
    return lines


def _ends(ci95: list[float] | None) -> str:
    return "" if ci95 is None else f" [{ci95[0]:.1%}, {ci95[1]:.1%}]"
