"""The headline answers of a report: the most repeatable, best, fastest and cheapest setting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from evalharness.analysis.comparison.leaders import LeaderContrast, Leaders, is_settled
from evalharness.analysis.summary import SettingSummary
from evalharness.pricing.cost_formula import NO_PRICE
from evalharness.process.text import plural
from evalharness.report.section import ReportData
from evalharness.report.sections.distributions.section import DISTRIBUTIONS
from evalharness.report.sections.leaders import LEADERS
from evalharness.report.sections.money.section import MONEY, PRICES
from evalharness.report.sections.run import RUN
from evalharness.report.sections.scoring import SCORERS, unscored_text
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.cost_origin import cost_mark, with_mark
from evalharness.report.words.format_numbers import (
    DASH,
    add_dollars,
    difference_interval,
    dollars,
    dollars_interval,
    metric_size,
    metric_value,
    percent,
    seconds,
    seconds_interval,
    share_interval,
)
from evalharness.report.words.names import join_names
from evalharness.report.words.sanitize import one_line
from evalharness.report.words.unknown_cost_text import add_reasons, unknown_cost_text
from evalharness.scoring.base import REASON_NO_TARGET

_MAX_NAMES = 3  # settings named in a sentence; further ones are counted
_MIN_PROMPTS = 6  # the fewest that a paired test of signs finds anything in, at .05


class HeadlineAnswer(msgspec.Struct, frozen=True):
    """One question with its answer.

    ``question`` is ``Most repeatable`` and the like; ``who`` names a setting, or says that none can
    be named (of a single setting it is the figure); ``figure`` is the leader's value with its
    interval; ``text`` says what that means; ``settled`` is whether the data single out fewer
    settings than there are.
    """

    question: str
    who: str
    figure: str
    text: str
    settled: bool


def headline_answers(report: ReportData) -> list[HeadlineAnswer]:
    """Answer which setting is the most repeatable, the best, the fastest, the cheapest.

    Of a single setting the answers are its repeatability, score, latency and cost.
    """
    if len(report[SETTINGS]) == 1:
        row = report[SETTINGS][0]
        return [
            _single_setting_answer(report, row, name, metric) for metric, name in _SINGLE.items()
        ]
    return [_ranked_answer(report, name, metric) for metric, name in _QUESTIONS.items()]


_QUESTIONS = {
    "agreement": "Most repeatable", "score": "Best score", "latency_s": "Fastest",
    "cost_usd": "Cheapest",
}  # fmt: skip
_SINGLE = {
    "agreement": "Same text again", "score": "Score", "latency_s": "Latency", "cost_usd": "Cost",
}  # fmt: skip


def _ranked_answer(report: ReportData, question: str, metric: str) -> HeadlineAnswer:
    leaders = report[LEADERS].get(metric)
    if _all_failed(report) or leaders is None:
        return _unranked_answer(report, question, metric)
    rows = {row.setting_id: row for row in report[SETTINGS]}
    total = len(leaders.others) + 1
    leader = rows[leaders.setting_id]
    figure = _figure_text(report, leader, metric)
    same = [row.setting_id for row in leaders.others if _is_tie(row.value, leaders.value)]
    if len(same) == total - 1:
        return HeadlineAnswer(
            question, "All alike", figure, _tie_text(report, metric, leaders), False
        )
    best = [leader.label, *(rows[name].label for name in same)]
    apart = [row.setting_id for row in leaders.others
             if row.setting_id not in same and _shares_too_little(report, row)]  # fmt: skip
    near = [rows[name].label for name in leaders.group[1:] if name not in (*same, *apart)]
    worse = [rows[r.setting_id].label for r in leaders.others
             if r.setting_id not in leaders.group]  # fmt: skip
    if not is_settled(leaders):
        has = "has" if len(best) == 1 else "have"
        text = f"{join_names(best, _MAX_NAMES)} {has} the best figure, but "
        rest = _undetected_text(metric, total - len(best), len(apart))
        if worse:
            verb = "is" if len(worse) == 1 else "are"
            rest = (
                f"of {plural(total - len(best), 'other')} only {join_names(worse, 2)} {verb} "
                f"detectably {_WORSE[metric]}{_apart_text(len(apart), '; ')}."
            )
        return HeadlineAnswer(question, "Not settled", figure, text + rest, False)
    who = leader.label if not same else f"{len(best)} settings alike"
    text = _meaning_text(report, leader, metric) + (
        f" for {join_names(best, _MAX_NAMES)}" if same else ""
    )
    if near:
        text += f"; not detectably different from {join_names(near, _MAX_NAMES)}"
    text += _apart_text(len(apart), "; ")
    text += f"; detectably {_BETTER[metric]} than {_beaten_text(worse, total)}"
    text += "" if same or near or apart else _lead_text(leaders, metric)
    return HeadlineAnswer(question, one_line(who, 60), figure, f"{text}.", True)


def _shares_too_little(report: ReportData, row: LeaderContrast) -> bool:
    """Whether missing prompts, and not their number, keep a setting from being compared."""
    least = min(_MIN_PROMPTS, report[RUN].prompts)
    return row.p is None or row.n < least


def _undetected_text(metric: str, others: int, apart: int) -> str:
    """Why no other setting is worse; ``apart`` of the ``others`` share too few prompts."""
    if apart == others:
        share = "the other setting shares" if others == 1 else "the other settings share"
        return f"{share} too few prompts with it to be compared."
    return (
        f"no other setting is detectably {_WORSE[metric]} at this size{_apart_text(apart, '; ')}."
    )


def _apart_text(apart: int, before: str) -> str:
    if not apart:
        return ""
    share = "shares" if apart == 1 else "share"
    return f"{before}{plural(apart, 'setting')} {share} too few prompts with it to be compared"


def _is_tie(value: float, best: float) -> bool:
    """Whether two figures differ by no more than the rounding of their parts."""
    return math.isclose(value, best, rel_tol=1e-12)


def _beaten_text(worse: list[str], total: int) -> str:
    if len(worse) == total - 1:
        return "every other setting" if total > 2 else worse[0]
    return worse[0] if len(worse) == 1 else plural(len(worse), "other setting")


_WORSE = {
    "agreement": "less repeatable", "score": "worse", "latency_s": "slower", "cost_usd": "dearer",
}  # fmt: skip
_BETTER = {
    "agreement": "more repeatable", "score": "better", "latency_s": "faster",
    "cost_usd": "cheaper",
}  # fmt: skip


def _tie_text(report: ReportData, metric: str, leaders: Leaders) -> str:
    if metric != "cost_usd" or leaders.value:
        return f"Every setting has the same figure, {metric_value(metric, leaders.value)}."
    billed = add_dollars(row.cost_usd.billed_total for row in report[SETTINGS])
    if billed:
        return f"Free by the price table, but the provider billed {dollars(billed)}."
    return "Nothing was billed: no setting costs anything here."


def _single_setting_answer(
    report: ReportData, row: SettingSummary, question: str, metric: str
) -> HeadlineAnswer:
    if not row.availability:
        return HeadlineAnswer(question, _UNKNOWN, DASH, _ALL_FAILED, False)
    if not _has_value(row, metric):
        return HeadlineAnswer(question, _UNKNOWN, DASH, _why_none(report, metric), False)
    return HeadlineAnswer(
        question,
        _figure_text(report, row, metric),
        DASH,
        f"{_meaning_text(report, row, metric)}.",
        True,
    )


def _unranked_answer(report: ReportData, question: str, metric: str) -> HeadlineAnswer:
    """The answer where settings cannot be compared: the only figure, or why there is none."""
    if _all_failed(report):
        return HeadlineAnswer(question, _UNKNOWN, DASH, _ALL_FAILED, False)
    rows = [row for row in report[SETTINGS] if _has_value(row, metric)]
    if not rows:
        return HeadlineAnswer(question, _UNKNOWN, DASH, _why_none(report, metric), False)
    if len(rows) > 1:
        text = f"{len(rows)} settings have a figure, but on too little in common to be compared."
        return HeadlineAnswer(question, "Not settled", DASH, text, False)
    row = rows[0]
    text = f"{_meaning_text(report, row, metric)}; the only setting with a figure."
    return HeadlineAnswer(question, row.label, _figure_text(report, row, metric), text, False)


_UNKNOWN = "Not known"
_ALL_FAILED = "Every trial ended in an error: there is nothing to compare."
_BATCH_LATENCY = "No latencies: batch."  # nobody measured how long a request took there
_WHY_NONE = {
    "agreement": "No prompt has two usable repeats: repeatability needs repeats=2 or more.",
    "latency_s": "No latency is known.",
}


def _why_none(report: ReportData, metric: str) -> str:
    run = report[RUN]
    open_repeats = run.planned is not None and run.planned > max(
        run.records, run.prompts * run.settings
    )
    if metric == "agreement" and open_repeats:
        return "Not yet: no prompt has two usable repeats; finish the run."
    if metric == "cost_usd":
        return _no_cost_text(report)
    if metric == "latency_s" and report[MONEY].batch is not None:
        return _BATCH_LATENCY
    return _unscored_text(report) if metric == "score" else _WHY_NONE[metric]


def _no_cost_text(report: ReportData) -> str:
    """Why no cost is known."""
    reasons = add_reasons(row.cost_usd.unknown_reasons for row in report[SETTINGS])
    if reasons.keys() <= {NO_PRICE}:
        in_batches = all(entry.in_batch for entry in report[PRICES].unpriced)
        return f"No price is known for these models{' in batches' if in_batches else ''}."
    text = unknown_cost_text(reasons)
    return f"{text[0].upper()}{text[1:]}."


def _unscored_text(report: ReportData) -> str:
    """Why there is no score, and the command that scores where prompts have targets."""
    run, scorers = report[RUN], report[SCORERS]
    if scorers:
        first = scorers[0]
        return f"Scorer {first.name} gave no score: {unscored_text(first.unscored)}."
    if run.prompts_with_target:
        prompts = plural(run.prompts_with_target, "prompt")
        verb = "has" if run.prompts_with_target == 1 else "have"
        return (
            f"No scorer is chosen; {prompts} {verb} a target: evalharness report "
            f"{report.run_argument} scoring=exact"
        )
    return (
        "No scorer is chosen, and no prompt has a `target` to score against; some scorers need "
        f"none: evalharness report {report.run_argument} scoring=json_valid"
    )


def _all_failed(report: ReportData) -> bool:
    return not any(row.availability for row in report[SETTINGS])


def _has_value(row: SettingSummary, metric: str) -> bool:
    return _value(row, metric) is not None


def _value(row: SettingSummary, metric: str) -> float | None:
    if metric == "agreement":
        return row.agreement.raw.pairwise
    if metric == "score":
        return row.score.mean
    if metric == "latency_s":
        return row.latency_s.mean
    return row.cost_usd.per_1k_requests


def _figure_text(report: ReportData, row: SettingSummary, metric: str) -> str:
    """The figure of a setting with its interval over prompts."""
    if metric == "agreement":
        raw = row.agreement.raw
        return f"{percent(raw.pairwise)} {share_interval(raw.ci95)}".strip()
    if metric == "score":
        return f"{percent(row.score.mean)} {share_interval(row.score.ci95)}".strip()
    setting_id = row.setting_id
    means = next((d.means for d in report[DISTRIBUTIONS] if d.setting_id == setting_id), None)
    ci: Sequence[float] | None = None if means is None else means[metric].ci95
    if metric == "latency_s":
        mean = row.latency_s.mean
        return f"{seconds(mean)} mean {seconds_interval(ci, mean)}".strip()
    price = dollars(row.cost_usd.per_1k_requests)
    text = f"{price} per 1,000 {dollars_interval(ci, 1000)}".strip()
    return with_mark(text, cost_mark(row.cost_usd.from_bill, row.cost_usd.n))


def _meaning_text(report: ReportData, row: SettingSummary, metric: str) -> str:
    """What the figure of a setting means, as the beginning of a sentence."""
    if metric == "agreement":
        raw = row.agreement.raw
        size = f"{plural(raw.prompts, 'prompt')} × {plural(raw.n, 'repeat')}"
        if raw.pairwise == 1:
            return f"No divergence in {size}"
        share = percent(raw.pairwise)
        return f"Two repeats of a prompt gave the same text {share} of the time"
    if metric == "score":
        return f"Mean score over {_scored_prompts_text(report, row)}"
    if metric == "latency_s":
        latency = row.latency_s
        p50, p95 = seconds(latency.p50), seconds(latency.p95)
        return f"Half of {latency.n:,} answers within {p50}, 95\u00a0% within {p95}"
    cost = row.cost_usd
    total = with_mark(dollars(cost.total), cost_mark(cost.from_bill, cost.n))
    return f"{total} for {plural(cost.n, 'request')}"


def _scored_prompts_text(report: ReportData, row: SettingSummary) -> str:
    """``12 prompts with a target`` where it is known that all scored ones have one."""
    run, prompts = report[RUN], row.score.prompts
    reasons = [entry.reason for scorer in report[SCORERS][:1] for entry in scorer.unscored]
    needs_target = REASON_NO_TARGET in reasons
    if prompts <= run.prompts_with_target and (
        needs_target or run.prompts_with_target == run.prompts
    ):
        return f"{plural(prompts, 'prompt')} with a target"
    return plural(prompts, "scored prompt")


def _lead_text(leaders: Leaders, metric: str) -> str:
    """How far ahead of the closest other setting."""
    closest = min(leaders.others, key=lambda row: abs(row.difference or 0.0))
    if closest.difference is None:
        return ""
    ends = list(closest.ci95 or ())
    if closest.difference < 0.0:
        ends = [-end for end in reversed(ends)]
    largest = max(abs(x) for x in (closest.difference, *ends))
    size = metric_size(metric, closest.difference, largest)
    inside = difference_interval(metric, ends or None, largest)
    return f" (ahead of the closest by {size}, 95\u00a0% interval {inside})"
