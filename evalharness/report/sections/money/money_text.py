"""Sentences about the money of a run, the same on a terminal, in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.cost.batch_savings import BatchSavings
from evalharness.analysis.cost.billing import SettingBill
from evalharness.analysis.cost.cost_figures import CacheSavings, CostFigures
from evalharness.analysis.cost.cost_tables import SettingMoney
from evalharness.analysis.cost.wasted_spend import AttemptSpending
from evalharness.analysis.frontier import Frontier
from evalharness.pricing.bill_difference import REASON_UNKNOWN
from evalharness.pricing.cost_formula import USAGE_CONTRADICTS
from evalharness.process.text import plural
from evalharness.report.build.money import Money, PricesUsed
from evalharness.report.sections.money.price_text import missing_price_line, price_line
from evalharness.report.words.cost_origin import cost_mark
from evalharness.report.words.format_numbers import add_dollars, dollars, percent
from evalharness.report.words.unknown_cost_text import unknown_cost_text, usage_contradicts_text

_MAX_NAMES = 8  # labels in a sentence
_NAMES = {"cost_usd": "cost", "score": "score", "agreement": "agreement"}


def money_lines(money: Money, prices: PricesUsed) -> list[str]:
    """Sentences on what the run cost; none where everything is free."""
    lines = [
        *_total_lines(money.total),
        *_usage_lines(money.total, prices),
        *_wasted_lines(money.attempts),
        *_bill_lines(money.billed),
        *_batch_lines(money.batch),
    ]
    if money.total.total_usd:
        lines += _cheapest_answer_lines(money.settings)
        lines += _frontier_lines(money.frontier, money.total)
        lines += _cache_lines(money.total.cache)
    lines += [price_line(entry) for entry in prices.used if not entry.free]
    lines += [missing_price_line(entry) for entry in prices.unpriced if entry.model is not None]
    return lines


def _total_lines(total: CostFigures) -> list[str]:
    if not total.total_usd and not total.unknown:
        return []
    parts: list[str] = []
    if total.known:
        known = plural(total.known, "record")
        parts.append(f"{dollars(total.total_usd)} for {known} of known cost")
    if total.from_bill:
        some = "" if total.from_bill == total.known else f" of {total.from_bill:,} of these"
        parts.append(f"the cost{some} is what the provider billed, because no price is known")
    if total.unknown:
        parts.append(unknown_cost_text(total.unknown_reasons))
    if total.estimated:
        parts.append(
            f"not in the total: about {dollars(total.estimate_usd)}, estimated for "
            f"{total.estimated:,} of these"
        )
    return ["; ".join(parts)]


def _usage_lines(total: CostFigures, prices: PricesUsed) -> list[str]:
    """Usage whose counts do not add up to its own total, and what was made of it."""
    lines: list[str] = []
    by_rule = sum(row.by_usage_rule for row in prices.settings.values())
    if by_rule:
        rules = dict.fromkeys(entry.usage_rule for entry in prices.used if entry.usage_rule)
        lines.append(
            f"usage of {plural(by_rule, 'record')} has more in its total than prompt and "
            f"completion tokens; billed by the total (usage_rule: {', '.join(rules)})"
        )
    contradictory = total.unknown_reasons.get(USAGE_CONTRADICTS)
    if contradictory:
        lines.append(usage_contradicts_text(contradictory))
    return lines


def _wasted_lines(attempts: AttemptSpending | None) -> list[str]:
    if attempts is None:
        return []
    nothing = attempts.wasted
    if not nothing.usd and not nothing.worst_case_usd:
        return []
    kinds = (
        (attempts.failed, "failed"), (attempts.retried, "tried again"),
        (attempts.in_doubt, "in doubt"),
    )  # fmt: skip
    parts = [f"{kind.attempts:,} {text}" for kind, text in kinds if kind.attempts]
    worst = nothing.worst_case_usd
    more = f", and at worst {dollars(worst)} more" if worst else ""
    return [f"spent on nothing: {dollars(nothing.usd)}{more} (attempts: {', '.join(parts)})"]


def _bill_lines(bills: Sequence[SettingBill]) -> list[str]:
    """The provider's bill compared with the computed cost, and why they differ."""
    rows = [row for row in bills if row.billed]
    reasons = list(dict.fromkeys(row.reason for row in rows if row.reason))
    if not any(row.billed_usd for row in rows) and not reasons:
        return []
    total = add_dollars(row.billed_usd for row in rows)
    both, count = sum(row.compared for row in rows), sum(row.billed for row in rows)
    head = f"billed by the provider: {dollars(total)} for {plural(count, 'record')}"
    if not reasons:
        same = "exactly as computed" if both == count else f"exactly as computed for {both:,}"
        return [f"{head}, {same if both else 'none of them computed'}"]
    return [head, *(_difference_line(rows, reason) for reason in reasons)]


def _difference_line(rows: Sequence[SettingBill], reason: str) -> str:
    """The difference of the settings whose bill differs for one reason."""
    differ = [row for row in rows if row.reason == reason]
    gap = add_dollars(row.computed_minus_billed_usd for row in differ)
    where = "" if len(rows) == 1 else f" in {len(differ)} of {plural(len(rows), 'setting')}"
    why = "and" if reason.startswith(REASON_UNKNOWN) else "likely because"
    return (
        f"computed {dollars(abs(gap))} {'above' if gap > 0 else 'below'} the bill{where}, "
        f"{why} {reason}"
    )


def _batch_lines(batch: BatchSavings | None) -> list[str]:
    """What batches saved, over the records of which both costs are known."""
    if batch is None:
        return []
    lines: list[str] = []
    if batch.saved_usd is not None and batch.live_usd:
        saved = batch.saved_usd
        word = "less" if saved >= 0 else "more"
        lines.append(
            f"batches: {plural(batch.compared, 'record')} for {dollars(batch.batch_usd)}, "
            f"{dollars(abs(saved))} {word} than the {dollars(batch.live_usd)} of single requests"
        )
    if batch.unknown:
        lines.append(
            f"what batches saved is unknown for {plural(batch.unknown, 'record')}: the cost in a "
            "batch, or alone, is not known"
        )
    return lines


def _cheapest_answer_lines(settings: Sequence[SettingMoney]) -> list[str]:
    correct = [(row.per_correct_usd, row.label) for row in settings]
    reliable = [(row.per_reliably_correct_usd, row.label) for row in settings]
    lines: list[str] = []
    for prices, what in (
        (correct, "cheapest correct answer"),
        (reliable, "cheapest answer that is correct in every repeat"),
    ):
        known = [(usd, label) for usd, label in prices if usd is not None]
        if known:
            usd, label = min(known, key=lambda price: price[0])
            lines.append(f"{what}: {dollars(usd)} ({label})")
    return lines


def _frontier_lines(frontier: Frontier | None, total: CostFigures) -> list[str]:
    if frontier is None:
        return []
    mark = cost_mark(total.from_bill, total.known)
    names = _NAMES | ({"cost_usd": f"cost ({mark})"} if mark else {})
    by = ", ".join(names[name] for name in frontier.by)
    shown = "; ".join(frontier.unbeaten[:_MAX_NAMES])
    more = len(frontier.unbeaten) - _MAX_NAMES
    return [f"beaten by no other on {by}: {shown}{f' and {more} more' if more > 0 else ''}"]


def _cache_lines(cache: CacheSavings) -> list[str]:
    if not cache.share or not cache.saved_usd:
        return []
    return [f"cached: {percent(cache.share)} of prompt tokens, {dollars(cache.saved_usd)} saved"]
