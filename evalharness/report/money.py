"""Which prices a report used, and what it could not price."""

from __future__ import annotations

from typing import Any

from evalharness.pricing import Price, PriceBook
from evalharness.pricing.columns import Costs, SettingCost


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
        "settings": {name: _setting(cost) for name, cost in costs.settings.items()},
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


def _setting(cost: SettingCost) -> dict[str, Any]:
    return {
        "rows": cost.rows,
        "known": cost.known,
        "total_usd": _number(cost.total_usd),
        "estimated": cost.estimated,
        "estimate_usd": _number(cost.estimate_usd),
        "unpriced": cost.unpriced,
        "billed_rows": cost.billed_rows,
        "billed_total_usd": _number(cost.billed_total_usd),
        "compared": cost.compared,
        "computed_minus_billed_usd": _number(cost.difference_usd),
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
