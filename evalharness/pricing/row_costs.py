"""The exact cost of each record of a table, in pico-dollars: no estimates, no sums."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from evalharness.pricing.book import PriceBook
from evalharness.pricing.price import MAX_TOKENS, Price
from evalharness.pricing.usage_columns import (
    Bools,
    Ints,
    UsageColumns,
    group_by_model_and_day,
    read_money,
    read_usage,
)

if TYPE_CHECKING:
    import pyarrow as pa


def row_costs(records: pa.Table, book: PriceBook) -> tuple[Ints, Bools]:
    """The cost of each record in pico-dollars, and where it is known.

    Args:
        records: as for :func:`~.cost_columns.cost_columns`.
        book: the prices.
    """
    by_price = PriceLookup(book, None).group_by_price(records)
    return row_costs_by_price(records, read_usage(records), by_price)


class PriceLookup:
    """Looks prices up by provider, model and day, each once.

    Attributes:
        prices_by_key: by provider, model and day; None where there is no price.
    """

    def __init__(self, book: PriceBook, at: date | None) -> None:
        self._book = book
        self._at = at
        self.prices_by_key: dict[tuple[str | None, str | None, date | None], Price | None] = {}

    def group_by_price(self, records: pa.Table) -> list[tuple[Price, Ints]]:
        """Row numbers of the records that share a price."""
        groups: list[tuple[Price, Ints]] = []
        for key, rows in group_by_model_and_day(records, self._at):
            provider, model, day = key
            if key not in self.prices_by_key:
                price = None if model is None else self._book.find(provider, model, day)
                self.prices_by_key[key] = price
            price = self.prices_by_key[key]
            if price is not None:
                groups.append((price, rows))
        return groups

    def prices(self) -> list[Price]:
        """The prices used, each once: in the order of providers, models and days."""
        return list(dict.fromkeys(p for _, p in self._sorted_items() if p is not None))

    def unpriced(self) -> list[tuple[str | None, str | None]]:
        """Provider and model where there is no price."""
        return list(dict.fromkeys((key[0], key[1]) for key, p in self._sorted_items() if p is None))

    def _sorted_items(
        self,
    ) -> list[tuple[tuple[str | None, str | None, date | None], Price | None]]:
        providers, models = (
            {
                value: i
                for i, value in enumerate(dict.fromkeys(key[part] for key in self.prices_by_key))
            }
            for part in (0, 1)
        )
        return sorted(
            self.prices_by_key.items(),
            key=lambda item: (providers[item[0][0]], models[item[0][1]], item[0][2] or date.min),
        )


def row_costs_by_price(
    records: pa.Table, usage: UsageColumns, by_price: list[tuple[Price, Ints]]
) -> tuple[Ints, Bools]:
    """The cost of each record in pico-dollars, and where it is known; imported costs win."""
    pico, known = np.zeros(records.num_rows, np.int64), np.zeros(records.num_rows, np.bool_)
    for price, rows in by_price:
        if len(rows) == records.num_rows:
            pico, known = _costs_at_price(price, usage)
        else:
            pico[rows], known[rows] = _costs_at_price(price, usage.take(rows))
    if "cost_usd_imported" in records.column_names:
        imported = read_money(records, "cost_usd_imported")
        is_valid = imported.known & (imported.high == 0) & (imported.low < 2**62)
        pico[is_valid] = imported.low[is_valid].astype(np.int64)
        known |= is_valid
    return pico, known


def _costs_at_price(price: Price, usage: UsageColumns) -> tuple[Ints, Bools]:
    """Pico-dollars of each row, and where they are known: :meth:`Price.cost`, vectorised."""
    size = len(usage.audio)
    if price.is_free():
        return np.zeros(size, np.int64), np.ones(size, np.bool_)
    rate = _rates_by_row(price, usage.prompt.value)
    cached, reasoning = usage.cached, usage.reasoning
    is_complete = (
        usage.prompt.known
        & usage.completion.known
        & ~usage.audio
        & (cached.known | (rate["cached"] == rate["prompt"]))
        & (reasoning.known | (rate["reasoning"] == rate["completion"]))
    )
    known = is_complete & _is_plausible(usage, cached.value, reasoning.value)
    return _pico_costs(price, rate, usage, cached.value, reasoning.value, known), known


def costs_without_details(price: Price, usage: UsageColumns) -> tuple[Ints, Bools]:
    """Row costs as if nothing had been cached and nothing reasoned, and where they are known."""
    zeros = np.zeros(len(usage.audio), np.int64)
    known = usage.prompt.known & usage.completion.known & _is_plausible(usage, zeros, zeros)
    rate = _rates_by_row(price, usage.prompt.value)
    return _pico_costs(price, rate, usage, zeros, zeros, known), known


def _is_plausible(usage: UsageColumns, cached: Ints, reasoning: Ints) -> Bools:
    prompt, completion = usage.prompt.value, usage.completion.value
    return (
        (cached >= 0)
        & (cached <= prompt)
        & (prompt <= MAX_TOKENS)
        & (reasoning >= 0)
        & (reasoning <= completion)
        & (completion <= MAX_TOKENS)
    )


def _rates_by_row(price: Price, prompt_tokens: Ints) -> dict[str, Ints]:
    """Pico-dollars per token of each row's tier; one for all rows where there is one tier."""
    names = ("prompt", "cached", "completion", "reasoning")
    if not price.tiers:
        rates = price.rates.per_token()
        return {name: np.array([getattr(rates, name)], np.int64) for name in names}
    starts = np.array([tier.above_prompt_tokens for tier in price.tiers], np.int64)
    tier = np.searchsorted(starts, prompt_tokens, side="left")  # starts strictly below the prompt
    table = [r.per_token() for r in (price.rates, *(t.rates for t in price.tiers))]
    return {n: np.array([getattr(r, n) for r in table], np.int64)[tier] for n in names}


def _pico_costs(
    price: Price,
    rate: dict[str, Ints],
    usage: UsageColumns,
    cached: Ints,
    reasoning: Ints,
    known: Bools,
) -> Ints:
    # Rows without a known cost may hold any number; zeros keep them from overflowing.
    prompt, completion, cached, reasoning = (
        np.where(known, counts, 0)
        for counts in (usage.prompt.value, usage.completion.value, cached, reasoning)
    )
    total = (
        (prompt - cached) * rate["prompt"]
        + cached * rate["cached"]
        + (completion - reasoning) * rate["completion"]
        + reasoning * rate["reasoning"]
        + price.fee_pico()
    )
    return np.where(known, total, 0)
