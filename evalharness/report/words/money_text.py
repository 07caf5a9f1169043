"""Sentences about the report's money, the same on a terminal, in HTML and in Markdown.

Made from ``data["money"]`` and ``data["prices"]`` of ``report --json``; nothing is computed here.
"""

from __future__ import annotations

from typing import Any

from evalharness.pricing.bill_difference import REASON_UNKNOWN
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import add_dollars, dollars, percent
from evalharness.report.words.unknown_cost_text import unknown_cost_text

Row = dict[str, Any]
_MAX_NAMES = 8  # labels in a sentence
_NAMES = {"cost_usd": "cost", "score": "score", "agreement": "agreement"}


def money_lines(data: Row) -> list[str]:
    """Sentences on what the run cost; none where everything is free.

    Args:
        data: a whole report; ``data["money"]`` may be absent.
    """
    facts: Row | None = data.get("money")
    if facts is None:
        return []
    whole, prices = facts["whole"], data.get("prices", {})
    lines = [
        *_total_lines(whole),
        *_wasted_lines(facts["attempts"]),
        *_bill_lines(facts["billed"]),
    ]
    if whole["total_usd"]:
        lines += _cheapest_answer_lines(facts["settings"])
        lines += _frontier_lines(facts["frontier"])
        lines += _cache_lines(whole["cache"])
    lines += [_price_line(entry) for entry in prices.get("used", []) if not entry["free"]]
    lines += [
        f"no price for {_model_at_provider(entry)}; to be added to a file for report --pricing "
        f"FILE, or on the command line as pricing.{entry['add'].replace(': [', '=[', 1)}"
        for entry in prices.get("unpriced", [])
        if entry["model"] is not None
    ]
    return lines


def _model_at_provider(entry: Row) -> str:
    """The model, with its provider where that is known."""
    return entry["model"] + (f" at {entry['provider']}" if entry["provider"] else "")


def _total_lines(whole: Row) -> list[str]:
    if not whole["total_usd"] and not whole["unknown"]:
        return []
    parts: list[str] = []
    if whole["known"]:
        known = plural(whole["known"], "record")
        parts.append(f"{dollars(whole['total_usd'])} for {known} of known cost")
    if whole["unknown"]:
        parts.append(unknown_cost_text(whole["unknown_reasons"]))
    if whole["estimated"]:
        parts.append(
            f"not in the total: about {dollars(whole['estimate_usd'])}, estimated for "
            f"{whole['estimated']:,} of these"
        )
    return ["; ".join(parts)]


def _wasted_lines(attempts: Row | None) -> list[str]:
    if attempts is None:
        return []
    nothing = attempts["on_nothing"]
    if not nothing["usd"] and not nothing["at_worst_usd"]:
        return []
    names = {"failed": "failed", "retried": "tried again", "in_doubt": "in doubt"}
    parts = [
        f"{attempts[name]['attempts']:,} {text}"
        for name, text in names.items()
        if attempts[name]["attempts"]
    ]
    worst = nothing["at_worst_usd"]
    more = f", and at worst {dollars(worst)} more" if worst else ""
    return [f"spent on nothing: {dollars(nothing['usd'])}{more} (attempts: {', '.join(parts)})"]


def _bill_lines(billed: list[Row]) -> list[str]:
    """The provider's bill compared with the computed cost, and why they differ."""
    rows = [row for row in billed if row["billed"]]
    if not any(row["billed_usd"] for row in rows) and not any(row["reason"] for row in rows):
        return []
    total = add_dollars(row["billed_usd"] for row in rows)
    both, count = sum(row["compared"] for row in rows), sum(row["billed"] for row in rows)
    head = f"billed by the provider: {dollars(total)} for {plural(count, 'record')}"
    if not any(row["reason"] for row in rows):
        same = "exactly as computed" if both == count else f"exactly as computed for {both:,}"
        return [f"{head}, {same if both else 'none of them computed'}"]
    lines = [head]
    for reason in dict.fromkeys(row["reason"] for row in rows if row["reason"]):
        differ = [row for row in rows if row["reason"] == reason]
        gap = add_dollars(row["computed_minus_billed_usd"] for row in differ)
        where = "" if len(rows) == 1 else f" in {len(differ)} of {plural(len(rows), 'setting')}"
        why = "and" if reason.startswith(REASON_UNKNOWN) else "likely because"
        lines.append(
            f"computed {dollars(abs(gap))} {'above' if gap > 0 else 'below'} the bill{where}, "
            f"{why} {reason}"
        )
    return lines


def _cheapest_answer_lines(settings: list[Row]) -> list[str]:
    lines: list[str] = []
    for key, what in (
        ("per_correct_usd", "cheapest correct answer"),
        ("per_reliably_correct_usd", "cheapest answer that is correct in every repeat"),
    ):
        named = [row for row in settings if row[key] is not None]
        if named:
            best = min(named, key=lambda row, key=key: row[key])
            lines.append(f"{what}: {dollars(best[key])} ({best['label']})")
    return lines


def _frontier_lines(frontier: Row | None) -> list[str]:
    if frontier is None:
        return []
    by = ", ".join(_NAMES[name] for name in frontier["by"])
    shown = "; ".join(frontier["unbeaten"][:_MAX_NAMES])
    more = len(frontier["unbeaten"]) - _MAX_NAMES
    return [f"beaten by no other on {by}: {shown}{f' and {more} more' if more > 0 else ''}"]


def _cache_lines(cache: Row) -> list[str]:
    if not cache["share"] or not cache["saved_usd"]:
        return []
    return [
        f"cached: {percent(cache['share'])} of prompt tokens, {dollars(cache['saved_usd'])} saved"
    ]


def _price_line(entry: Row) -> str:
    """One price with its table, date and source."""
    names = {"prompt": "in", "cached": "cached", "completion": "out", "reasoning": "reasoning"}
    rates = ", ".join(
        f"{_rate(entry['price_usd_per_mtok'][name])} {text}"
        for name, text in names.items()
        if entry["price_usd_per_mtok"][name] is not None
    )
    fee = f", {_rate(entry['per_request_usd'])} a request" if entry["per_request_usd"] else ""
    tiers = entry["tiers_above_prompt_tokens"]
    higher = f" (other prices above {' and '.join(f'{t:,}' for t in tiers)} in)" if tiers else ""
    whose = f" of {entry['provider']}" if entry["provider"] else ""
    models = f"all models{whose}" if entry["model"] == "*" else entry["model"]
    return f"price of {models}: {rates} per million tokens{fee}{higher}; {price_origin(entry)}"


def _rate(value: float) -> str:
    return f"${value:.10f}".rstrip("0").rstrip(".")


def price_origin(entry: Row) -> str:
    """Table, date and source of a price of ``data["prices"]["used"]``; what is missing is said."""
    dates = [
        f"{text} {entry[key]}"
        for key, text in (("as_of", "of"), ("valid_from", "valid from"))
        if entry[key]
    ]
    table = entry["table"] or "table unknown"
    if table == "override":
        table = "set in pricing.prices"
    return f"{' '.join([table, *dates]) if dates else f'{table}, undated'}, " + (
        entry["source"] or "no source given"
    )
