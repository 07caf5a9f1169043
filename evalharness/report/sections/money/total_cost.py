"""The cost of a run in a few words."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.summary import SettingSummary
from evalharness.process.text import plural
from evalharness.report.build.money import PricesUsed
from evalharness.report.words.cost_origin import mark_of_all, with_mark
from evalharness.report.words.format_numbers import add_dollars, dollars
from evalharness.report.words.unknown_cost_text import add_reasons, unknown_reasons_text


def total_cost_text(settings: Sequence[SettingSummary], prices: PricesUsed) -> str:
    """The cost of all settings whose cost is known, and why it is unknown where it is."""
    known = [row.cost_usd.total for row in settings if row.cost_usd.total is not None]
    if not known:
        return f"unknown ({_unknown_reasons(settings)})"
    computed = add_dollars(known)
    billed = add_dollars(row.cost_usd.billed_total for row in settings)
    mark = mark_of_all((row.cost_usd.from_bill, row.cost_usd.n) for row in settings)
    total = with_mark(dollars(computed), mark)
    if not mark and billed and 100 * abs(billed - computed) > billed:
        total += f" by the price table, {dollars(billed)} billed"
    elif not mark and computed == 0 and all(entry.free for entry in prices.used):
        total += " (free)"
    unknown = [row for row in settings if row.cost_usd.total is None]
    if not unknown:
        return total
    why = _unknown_reasons(unknown)
    return f"{total}; unknown for {plural(len(unknown), 'setting')} ({why})"


def _unknown_reasons(settings: Sequence[SettingSummary]) -> str:
    """Why the cost of trials of these settings is unknown; without trials there is no reason."""
    reasons = add_reasons(row.cost_usd.unknown_reasons for row in settings)
    return unknown_reasons_text(reasons) or "no trials"
