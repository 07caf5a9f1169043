"""The report's ``money`` and ``prices``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from evalharness.analysis.cost import billing, cost_tables
from evalharness.analysis.cost.batch_savings import BatchSavings, batch_savings
from evalharness.analysis.cost.billing import BilledRecords, SettingBill
from evalharness.analysis.cost.cell_costs import CellCosts
from evalharness.analysis.cost.cost_figures import CostFigures
from evalharness.analysis.cost.cost_tables import (
    ModelMoney,
    PromptCosts,
    SettingMoney,
    SettingProjection,
    TagMoney,
)
from evalharness.analysis.cost.wasted_spend import AttemptSpending
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.frontier import Frontier, frontier
from evalharness.analysis.summary import SettingSummary
from evalharness.config.models import UsageRule
from evalharness.pricing import Price, PriceBook
from evalharness.pricing.cost_columns import CostColumns, SettingCost
from evalharness.pricing.price import PriceRates

if TYPE_CHECKING:
    import pyarrow as pa


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """What a volume of requests like those of the run would cost.

    Attributes:
        volume: requests.
        settings: the cost if all went to one setting, in the order of ``settings``.
    """

    volume: float
    settings: list[SettingProjection]


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """What the run cost, and what for. US dollars by the price tables of today, judges left out.

    Attributes:
        total: all records.
        settings: by setting, in the order of ``settings``.
        models: by provider and model.
        tags: by tag of the prompts, most expensive first, at most 50; a prompt counts under each of
            its tags. Empty where no prompt has one.
        prompts: by prompt.
        attempts: what the HTTP attempts cost, and what was spent on nothing; null for a run without
            attempts (an import).
        billed: the provider's bill by setting, compared with the computed cost.
        batch: what requests in batches cost, and would have cost alone; null where none was in one.
        frontier: the settings that no other beats on cost, score and agreement; null where fewer
            than two settings, or fewer than two of these figures, can be weighed.
        projection: to the volume that ``--volume`` asks for; null without it.
    """

    total: CostFigures
    settings: list[SettingMoney]
    models: list[ModelMoney]
    tags: list[TagMoney]
    prompts: PromptCosts
    attempts: AttemptSpending | None
    billed: list[SettingBill]
    batch: BatchSavings | None
    frontier: Frontier | None
    projection: Projection | None


def run_money(
    frame: RunFrame,
    costs: CostColumns,
    book: PriceBook,
    *,
    prompts: pa.Table,
    attempts: AttemptSpending | None,
    settings: Sequence[SettingSummary],
    volume: float | None = None,
) -> Money:
    """Add up what a run cost.

    Args:
        frame: the records.
        costs: of ``frame.records``, computed with ``book``.
        book: the prices.
        prompts: the prompts table the frame was built with; ``tags`` are read where it has them.
        attempts: the cost of the attempts at the reported settings and prompts.
        settings: those of the report.
        volume: requests to project to; None projects nothing.
    """
    cell_costs = CellCosts.of(frame, costs, book)
    by_setting = cost_tables.by_setting(cell_costs)
    return Money(
        total=cost_tables.whole_run(cell_costs),
        settings=by_setting,
        models=cost_tables.by_model(cell_costs),
        tags=cost_tables.by_tag(cell_costs, _tags(frame, prompts)),
        prompts=cost_tables.by_prompt(cell_costs),
        attempts=attempts,
        billed=billing.by_setting(BilledRecords(cell_costs, book)),
        batch=batch_savings(frame, costs, book),
        frontier=frontier(settings, by_setting),
        projection=None
        if volume is None
        else Projection(volume=volume, settings=cost_tables.projection(by_setting, volume)),
    )


def _tags(frame: RunFrame, prompts: pa.Table) -> list[list[str]]:
    """The tags of each prompt of the frame; a prompt that is not in the table has none."""
    if "tags" not in prompts.column_names:
        return [[] for _ in frame.prompt_ids]
    column: list[list[str] | None] = prompts["tags"].to_pylist()
    tags = [cell or [] for cell in column]
    return tags + [[] for _ in frame.prompt_ids[len(tags) :]]


# ── prices ───────────────────────────────────────────────────────────────────────────────────────


class PriceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A price that costs were computed with.

    Attributes:
        provider: its name; null is any provider.
        model: its name, or a pattern with ``*``, ``?`` and ``[…]``.
        valid_from: first day (UTC); null is since ever.
        source: where the price was read; null where it is not said.
        free: whether every request costs nothing, whatever its usage.
        price_usd_per_mtok: of a request at or below the first tier.
        tiers_above_prompt_tokens: prompt tokens above which other prices hold, rising.
        per_request_usd: US dollars of each request besides its tokens.
        table: the price file, ``genai-prices VERSION``, or ``override``.
        as_of: the day the table was read; null is unknown.
        usage_rule: how the provider's usage is read where it does not add up to its own total;
            null: the cost of such a record is unknown.
        batch_basis: of the price of requests in batches: where its rates come from; null: it is
            the price of requests that are sent alone.
    """

    provider: str | None
    model: str
    valid_from: date | None
    source: str | None
    free: bool
    price_usd_per_mtok: PriceRates
    tiers_above_prompt_tokens: list[int]
    per_request_usd: Decimal
    table: str
    as_of: date | None
    usage_rule: UsageRule | None = None
    batch_basis: str | None = None


class UnpricedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model without a price.

    Attributes:
        provider: its name; null where the records name none.
        model: its name; null where the records name none.
        add: the entry of a price file that it needs.
        in_batch: whether the price of requests in batches is missing.
    """

    provider: str | None
    model: str | None
    add: str
    in_batch: bool = False


class SettingPrices(msgspec.Struct, frozen=True, kw_only=True):
    """What the prices make of a setting.

    Attributes:
        rows: records.
        known: records with a known cost.
        total_usd: US dollars of these; null where none has a known cost.
        estimated: records of unknown cost for which there is an estimate.
        estimate_usd: US dollars of the estimates, in no total; null where there is none.
        unpriced: records whose model has no price; their cost is the bill, else unknown.
        from_bill: records whose cost is the bill, for want of a price.
        by_usage_rule: records whose usage does not add up to its total as documented and was priced
            by the ``usage_rule`` of the provider's profile.
        billed_rows: records with a bill.
        billed_total_usd: US dollars of the bills; null where nothing was billed.
        compared: records with a bill and a known cost.
        computed_minus_billed_usd: US dollars, computed minus billed, over exactly those; null where
            there are none.
    """

    rows: int
    known: int
    total_usd: Decimal | None
    estimated: int
    estimate_usd: Decimal | None
    unpriced: int
    from_bill: int
    by_usage_rule: int
    billed_rows: int
    billed_total_usd: Decimal | None
    compared: int
    computed_minus_billed_usd: Decimal | None


class PricesUsed(msgspec.Struct, frozen=True, kw_only=True):
    """The prices that costs were computed with.

    Attributes:
        used: the entries, each once.
        unpriced: models without a price.
        settings: totals by setting id; settings without records are absent.
    """

    used: list[PriceEntry]
    unpriced: list[UnpricedModel]
    settings: dict[str, SettingPrices]


def prices_used(costs: CostColumns, book: PriceBook) -> PricesUsed:
    """The prices that costs were computed with; ``book`` has them."""
    return PricesUsed(
        used=[_price_entry(price) for price in costs.prices],
        unpriced=[
            UnpricedModel(
                provider=provider,
                model=model,
                add=book.missing_hint(provider, model or "…", in_batch=in_batch),
                in_batch=in_batch,
            )
            for in_batch, pairs in ((False, costs.unpriced), (True, costs.unpriced_in_batch))
            for provider, model in pairs
        ],
        settings={name: _setting_prices(cost) for name, cost in costs.settings.items()},
    )


def _price_entry(price: Price) -> PriceEntry:
    return PriceEntry(
        provider=price.provider,
        model=price.model,
        valid_from=price.valid_from,
        source=price.source,
        free=price.is_free(),
        price_usd_per_mtok=price.rates,
        tiers_above_prompt_tokens=[tier.above_prompt_tokens for tier in price.tiers],
        per_request_usd=price.per_request_usd,
        table=price.table,
        as_of=price.as_of,
        usage_rule=price.usage_rule,
        batch_basis=price.batch_basis,
    )


def _setting_prices(cost: SettingCost) -> SettingPrices:
    return SettingPrices(
        rows=cost.rows,
        known=cost.known,
        total_usd=cost.total_usd,
        estimated=cost.estimated,
        estimate_usd=cost.estimate_usd,
        unpriced=cost.unpriced,
        from_bill=cost.from_bill,
        by_usage_rule=cost.by_rule,
        billed_rows=cost.billed_rows,
        billed_total_usd=cost.billed_total_usd,
        compared=cost.compared,
        computed_minus_billed_usd=cost.difference_usd,
    )
