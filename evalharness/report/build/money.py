"""The report's money: ``data["prices"]`` and ``data["money"]``; :mod:`.spending` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from evalharness.analysis.cost import billing, cost_tables
from evalharness.analysis.cost.cell_costs import Spending
from evalharness.analysis.cost.frontier import frontier
from evalharness.analysis.data.frame import Frame
from evalharness.pricing import Price, PriceBook
from evalharness.pricing.cost_columns import Costs, SettingCost

if TYPE_CHECKING:
    import pyarrow as pa


def money(
    frame: Frame,
    costs: Costs,
    book: PriceBook,
    *,
    prompts: pa.Table,
    attempts: dict[str, Any] | None,
    settings: Sequence[dict[str, Any]],
    volume: float | None = None,
) -> dict[str, Any]:
    """The report's ``money``: plain JSON values, dollars as numbers.

    Args:
        frame: the records.
        costs: of ``frame.records``, computed with ``book``.
        book: the prices.
        prompts: the prompts table the frame was built with; ``tags`` are read where it has them.
        attempts: what those of the settings and prompts reported cost
            (:meth:`~evalharness.analysis.cost.wasted_spend.Waste.facts`).
        settings: ``data["settings"]``.
        volume: requests to project to; None projects nothing.

    Returns:
        ``whole``, ``settings``, ``models`` and ``tags`` as :func:`~.spending.describe` says;
        ``prompts`` as :func:`~evalharness.analysis.cost.cost_tables.by_prompt`; ``attempts`` as
        given; ``billed`` as :func:`~.billing.by_setting`; ``frontier`` as
        :func:`~.frontier.frontier`; ``projection`` with ``volume`` and ``settings``, null without a
        volume.
    """
    spending = Spending.of(frame, costs, book)
    by_setting = cost_tables.by_setting(spending)
    facts: dict[str, Any] = {
        "whole": cost_tables.whole(spending),
        "settings": by_setting,
        "models": cost_tables.by_model(spending),
        "tags": cost_tables.by_tag(spending, _tags(frame, prompts)),
        "prompts": cost_tables.by_prompt(spending),
        "attempts": attempts,
        "billed": billing.by_setting(billing.Bills(spending, book), costs.prices),
        "frontier": frontier(settings, by_setting),
        "projection": None
        if volume is None
        else {"volume": volume, "settings": cost_tables.projection(by_setting, volume)},
    }
    return cast("dict[str, Any]", _plain(facts))


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


# ── prices ───────────────────────────────────────────────────────────────────────────────────────


def prices_used(costs: Costs, book: PriceBook) -> dict[str, Any]:
    """The report's ``prices``: entries used with date and source, totals, and what to add.

    ``price_usd_per_mtok`` is the lowest tier's; null there means the prompt or completion price.

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
    usd = {"prompt": price.rates.prompt, "cached": price.rates.cached,
           "completion": price.rates.completion, "reasoning": price.rates.reasoning}  # fmt: skip
    return {
        "provider": price.provider,
        "model": price.model,
        "valid_from": None if valid_from is None else valid_from.isoformat(),
        "source": price.source,
        "free": price.is_free(),
        "price_usd_per_mtok": {name: _number(value) for name, value in usd.items()},
        "tiers_above_prompt_tokens": [tier.above_prompt_tokens for tier in price.tiers],
        "per_request_usd": float(price.per_request_usd),
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
