"""The report's ``money`` and ``prices``."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from evalharness.analysis.cost import billing, cost_tables
from evalharness.analysis.cost.cell_costs import CellCosts
from evalharness.analysis.cost.frontier import frontier
from evalharness.analysis.data.frame import RunFrame
from evalharness.pricing import Price, PriceBook
from evalharness.pricing.cost_columns import CostColumns, SettingCost

if TYPE_CHECKING:
    import pyarrow as pa


def money_section(
    frame: RunFrame,
    costs: CostColumns,
    book: PriceBook,
    *,
    prompts: pa.Table,
    attempts: dict[str, Any] | None,
    settings: Sequence[dict[str, Any]],
    volume: float | None = None,
) -> dict[str, Any]:
    """Build the report's ``money``: plain JSON values, dollars as numbers.

    Args:
        frame: the records.
        costs: of ``frame.records``, computed with ``book``.
        book: the prices.
        prompts: the prompts table the frame was built with; ``tags`` are read where it has them.
        attempts: the cost of the attempts at the reported settings and prompts
            (:meth:`~evalharness.analysis.cost.wasted_spend.WastedSpend.facts`).
        settings: ``data["settings"]``.
        volume: requests to project to; None projects nothing.

    Returns:
        ``whole``, ``settings``, ``models`` and ``tags`` as
        :func:`~evalharness.analysis.cost.cell_costs.describe_cells` returns them; ``prompts`` as
        :func:`~evalharness.analysis.cost.cost_tables.by_prompt`; ``attempts`` as given; ``billed``
        as :func:`~evalharness.analysis.cost.billing.by_setting`; ``frontier`` as
        :func:`~evalharness.analysis.cost.frontier.frontier`; ``projection`` with ``volume`` and
        ``settings``, null without a volume.
    """
    cell_costs = CellCosts.of(frame, costs, book)
    by_setting = cost_tables.by_setting(cell_costs)
    facts: dict[str, Any] = {
        "whole": cost_tables.whole_run(cell_costs),
        "settings": by_setting,
        "models": cost_tables.by_model(cell_costs),
        "tags": cost_tables.by_tag(cell_costs, _tags(frame, prompts)),
        "prompts": cost_tables.by_prompt(cell_costs),
        "attempts": attempts,
        "billed": billing.by_setting(billing.BilledRecords(cell_costs, book)),
        "frontier": frontier(settings, by_setting),
        "projection": None
        if volume is None
        else {"volume": volume, "settings": cost_tables.projection(by_setting, volume)},
    }
    return cast("dict[str, Any]", _decimals_to_floats(facts))


def _tags(frame: RunFrame, prompts: pa.Table) -> list[list[str]]:
    """The tags of each prompt of the frame; a prompt that is not in the table has none."""
    if "tags" not in prompts.column_names:
        return [[] for _ in frame.prompt_ids]
    column: list[list[str] | None] = prompts["tags"].to_pylist()
    tags = [cell or [] for cell in column]
    return tags + [[] for _ in frame.prompt_ids[len(tags) :]]


def _decimals_to_floats(value: Any) -> Any:
    """Return the same value with every Decimal as a float."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {k: _decimals_to_floats(v) for k, v in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_decimals_to_floats(v) for v in cast("list[Any]", value)]
    return value


# ── prices ───────────────────────────────────────────────────────────────────────────────────────


def prices_used(costs: CostColumns, book: PriceBook) -> dict[str, Any]:
    """Build the report's ``prices``: entries used, models without a price, totals by setting.

    ``price_usd_per_mtok`` is the lowest tier's; null there means the prompt or completion price.
    ``add`` is the entry that an unpriced model needs.

    Dollars are numbers here; the exact decimals are in the records and the price files.
    """
    return {
        "used": [_price_entry(price) for price in costs.prices],
        "unpriced": [
            {"provider": provider, "model": model, "add": book.missing_hint(provider, model or "…")}
            for provider, model in costs.unpriced
        ],
        "settings": {name: _setting_prices(cost) for name, cost in costs.settings.items()},
    }


def _price_entry(price: Price) -> dict[str, Any]:
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


def _setting_prices(cost: SettingCost) -> dict[str, Any]:
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


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
