"""The report's money: ``data["prices"]``, ``data["money"]`` and a short section for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from evalharness.analysis import billing, cost, waste
from evalharness.analysis.frame import Frame
from evalharness.analysis.frontier import frontier
from evalharness.analysis.spending import Spending
from evalharness.pricing import Price, PriceBook
from evalharness.pricing.attempts import AttemptCosts
from evalharness.pricing.columns import Costs, SettingCost

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of the attempts table that :func:`money` reads.
ATTEMPT_COLUMNS = waste.COLUMNS


def money(
    frame: Frame,
    costs: Costs,
    book: PriceBook,
    *,
    prompts: pa.Table,
    attempts: pa.Table,
    settings: Sequence[dict[str, Any]],
    volume: float | None = None,
) -> dict[str, Any]:
    """The report's ``money``: plain JSON values, dollars as numbers.

    Args:
        frame: the records.
        costs: of ``frame.records``, computed with ``book``.
        book: the prices.
        prompts: the prompts table the frame was built with; ``tags`` are read where it has them.
        attempts: the columns :data:`ATTEMPT_COLUMNS` of the settings and prompts reported.
        settings: ``data["settings"]``.
        volume: requests to project to; None projects nothing.

    Returns:
        ``whole``, ``settings``, ``models`` and ``tags`` as :func:`~.spending.describe` says;
        ``prompts`` as :func:`~.cost.by_prompt`; ``attempts`` as :func:`~.waste.spent`;
        ``billed`` as :func:`~.billing.by_setting`; ``frontier`` as :func:`~.frontier.frontier`;
        ``projection`` with ``volume`` and ``settings``, null without a volume.
    """
    spending = Spending.of(frame, costs, book)
    by_setting = cost.by_setting(spending)
    attempt_costs = AttemptCosts(attempts, _named(frame), book)
    facts: dict[str, Any] = {
        "whole": cost.whole(spending),
        "settings": by_setting,
        "models": cost.by_model(spending),
        "tags": cost.by_tag(spending, _tags(frame, prompts)),
        "prompts": cost.by_prompt(spending),
        "attempts": waste.spent(attempts, attempt_costs),
        "billed": billing.by_setting(billing.Bills(spending, book), costs.prices),
        "frontier": frontier(settings, by_setting),
        "projection": None
        if volume is None
        else {"volume": volume, "settings": cost.projection(by_setting, volume)},
    }
    return cast("dict[str, Any]", _plain(facts))


def _named(frame: Frame) -> dict[str, tuple[str | None, str | None]]:
    """Provider and model of each setting, which prices are looked up by."""
    return {
        str(row["setting_id"]): (row.get("provider"), row.get("model"))
        for row in frame.setting_rows
    }


def _tags(frame: Frame, prompts: pa.Table) -> list[list[str]]:
    """Tags of each prompt of the frame; prompts the table lacks have none."""
    if "tags" not in prompts.column_names:
        return [[] for _ in frame.prompt_ids]
    listed: list[list[str] | None] = prompts["tags"].to_pylist()
    known = [tags or [] for tags in listed]
    return known + [[] for _ in frame.prompt_ids[len(known) :]]


def _plain(value: Any) -> Any:
    """The same with every Decimal as a number."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_plain(v) for v in cast("list[Any]", value)]
    return value


# ── on a terminal ────────────────────────────────────────────────────────────────────────────────


def money_lines(data: dict[str, Any]) -> list[str]:
    """A few lines on what the run cost and bought; none where everything is free or unknown.

    Args:
        data: a whole report; ``data["money"]`` may be absent.
    """
    facts: dict[str, Any] | None = data.get("money")
    if facts is None:
        return []
    whole = facts["whole"]
    lines = [*_whole_line(whole), *_waste_line(facts["attempts"]), *_bill_lines(facts["billed"])]
    if whole["total_usd"]:
        lines += _answers_line(facts["settings"])
        lines += _frontier_line(facts["frontier"])
        lines += _cache_line(whole["cache"])
    lines += _projection_lines(facts["projection"])
    lines += [
        f"no price for {entry['model']} at {entry['provider']}: report --pricing FILE with "
        f"{entry['add']}"
        for entry in data.get("prices", {}).get("unpriced", [])
        if entry["model"] is not None
    ]
    return ["", "Money", *(f"  {line}" for line in lines)] if lines else []


def dollars(value: float | None) -> str:
    """An amount with at least three significant digits; a dash when unknown."""
    if value is None:
        return "—"
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if abs(value) >= 10 else f"${value:.3g}"


def _whole_line(whole: dict[str, Any]) -> list[str]:
    total = whole["total_usd"]
    if not total and not whole["estimate_usd"]:
        return []
    line = f"{dollars(total)} for {whole['known']} records of known cost"
    if whole["estimated"]:
        line += f"; about {dollars(whole['estimate_usd'])} more for {whole['estimated']} estimated"
    if whole["unknown"]:
        line += f"; cost unknown for {whole['unknown']}"
    return [line]


def _waste_line(attempts: dict[str, Any] | None) -> list[str]:
    if attempts is None:
        return []
    nothing = attempts["on_nothing"]
    if not nothing["usd"] and not nothing["at_worst_usd"]:
        return []
    parts = [
        f"{attempts[name]['attempts']} {name.replace('_', ' ')}"
        for name in ("failed", "retried", "in_doubt")
        if attempts[name]["attempts"]
    ]
    worst = nothing["at_worst_usd"]
    more = f", and at worst {dollars(worst)} more" if worst else ""
    return [f"spent on nothing: {dollars(nothing['usd'])}{more} ({', '.join(parts)} attempts)"]


def _bill_lines(billed: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for reason in dict.fromkeys(row["reason"] for row in billed if row["reason"]):
        rows = [row for row in billed if row["reason"] == reason]
        gap = sum(row["computed_minus_billed_usd"] for row in rows)
        side = "above" if gap > 0 else "below"
        lines.append(
            f"computed {dollars(abs(gap))} {side} the bill in {len(rows)} setting(s), "
            f"likely because {reason}"
        )
    return lines


def _answers_line(settings: list[dict[str, Any]]) -> list[str]:
    named = [row for row in settings if row["per_correct_usd"] is not None]
    if not named:
        return []
    best = min(named, key=lambda row: row["per_correct_usd"])
    line = f"cheapest correct answer: {dollars(best['per_correct_usd'])} ({best['label']})"
    sure = [row for row in settings if row["per_reliably_correct_usd"] is not None]
    if sure:
        best = min(sure, key=lambda row: row["per_reliably_correct_usd"])
        line += (
            f"; correct in every repeat: {dollars(best['per_reliably_correct_usd'])} "
            f"({best['label']})"
        )
    return [line]


def _frontier_line(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    names = {"cost_usd": "cost", "score": "score", "agreement": "agreement"}
    by = ", ".join(names[name] for name in found["by"])
    shown = "; ".join(found["unbeaten"][:8])
    more = len(found["unbeaten"]) - 8
    return [f"beaten by no other on {by}: {shown}{f' and {more} more' if more > 0 else ''}"]


def _cache_line(cache: dict[str, Any]) -> list[str]:
    if not cache["share"] or not cache["saved_usd"]:
        return []
    return [
        f"cached: {100 * cache['share']:.0f}% of prompt tokens, {dollars(cache['saved_usd'])} saved"
    ]


def _projection_lines(projection: dict[str, Any] | None) -> list[str]:
    if projection is None:
        return []
    lines: list[str] = []
    for row in projection["settings"]:
        ends = row["ci95"]
        shown = "" if ends is None else f" [{dollars(ends[0])}, {dollars(ends[1])}]"
        lines.append(
            f"{projection['volume']:,.0f} requests: {dollars(row['usd'])}{shown} ({row['label']})"
        )
    return lines


# ── prices ───────────────────────────────────────────────────────────────────────────────────────


def prices_used(costs: Costs, book: PriceBook) -> dict[str, Any]:
    """The report's ``prices``: entries used with date and source, totals, and what to add.

    Dollars are numbers here; the exact decimals are in the records and the price files.
    """
    return {
        "used": [_entry(price) for price in costs.prices],
        "unpriced": [
            {"provider": provider, "model": model, "add": book.missing_hint(provider, model or "…")}
            for provider, model in costs.unpriced
        ],
        "settings": {name: _setting(found) for name, found in costs.settings.items()},
    }


def _entry(price: Price) -> dict[str, Any]:
    valid_from = price.valid_from
    return {
        "provider": price.provider,
        "model": price.model,
        "valid_from": None if valid_from is None else valid_from.isoformat(),
        "source": price.source,
        "free": price.is_free(),
        "table": price.table,
        "as_of": None if price.as_of is None else price.as_of.isoformat(),
    }


def _setting(found: SettingCost) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "known": found.known,
        "total_usd": _number(found.total_usd),
        "estimated": found.estimated,
        "estimate_usd": _number(found.estimate_usd),
        "unpriced": found.unpriced,
        "billed_rows": found.billed_rows,
        "billed_total_usd": _number(found.billed_total_usd),
        "compared": found.compared,
        "computed_minus_billed_usd": _number(found.difference_usd),
    }


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
