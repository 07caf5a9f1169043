"""What each record of a table costs, in whole pico-dollars: no estimates, no sums."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from evalharness.pricing.book import PriceBook
from evalharness.pricing.price import MAX_TOKENS, Price
from evalharness.pricing.usage_columns import Bools, Ints, Usage, day_groups, read_money, read_usage

if TYPE_CHECKING:
    import pyarrow as pa


def exact_costs(records: pa.Table, book: PriceBook) -> tuple[Ints, Bools]:
    """What each record cost, in pico-dollars, and where it is known: no estimates, no sums.

    Args:
        records: as for :func:`cost_columns`.
        book: the prices.
    """
    by_price = Finder(book, None).by_price(records)
    return exact_of_all(records, read_usage(records), by_price)


class Finder:
    """Looks prices up by provider, model and day, and remembers what it found.

    Attributes:
        found: by provider, model and day; None where there is no price.
    """

    def __init__(self, book: PriceBook, at: date | None) -> None:
        self._book = book
        self._at = at
        self.found: dict[tuple[str | None, str | None, date | None], Price | None] = {}

    def by_price(self, records: pa.Table) -> list[tuple[Price, Ints]]:
        """Row numbers of the records that share a price."""
        groups: list[tuple[Price, Ints]] = []
        for key, members in day_groups(records, self._at):
            provider, model, day = key
            if key not in self.found:
                price = None if model is None else self._book.find(provider, model, day)
                self.found[key] = price
            price = self.found[key]
            if price is not None:
                groups.append((price, members))
        return groups

    def prices(self) -> list[Price]:
        """Those found, each once: in the order of providers, models and days."""
        return list(dict.fromkeys(p for _, p in self._ordered() if p is not None))

    def unpriced(self) -> list[tuple[str | None, str | None]]:
        """Provider and model where there is no price."""
        return list(dict.fromkeys((key[0], key[1]) for key, p in self._ordered() if p is None))

    def _ordered(self) -> list[tuple[tuple[str | None, str | None, date | None], Price | None]]:
        providers, models = (
            {value: i for i, value in enumerate(dict.fromkeys(key[part] for key in self.found))}
            for part in (0, 1)
        )
        return sorted(
            self.found.items(),
            key=lambda one: (providers[one[0][0]], models[one[0][1]], one[0][2] or date.min),
        )


def exact_of_all(
    records: pa.Table, usage: Usage, by_price: list[tuple[Price, Ints]]
) -> tuple[Ints, Bools]:
    """Pico-dollars of each record, and where they are known; imported ones stand over others."""
    pico, known = np.zeros(records.num_rows, np.int64), np.zeros(records.num_rows, np.bool_)
    for price, members in by_price:
        if len(members) == records.num_rows:
            pico, known = _exact(price, usage)
        else:
            pico[members], known[members] = _exact(price, usage.take(members))
    if "cost_usd_imported" in records.column_names:
        imported = read_money(records, "cost_usd_imported")
        small = imported.known & (imported.high == 0) & (imported.low < 2**62)
        pico[small] = imported.low[small].astype(np.int64)
        known |= small
    return pico, known


def _exact(price: Price, usage: Usage) -> tuple[Ints, Bools]:
    """Pico-dollars of each row, and where they are known: :meth:`Price.cost`, vectorised."""
    size = len(usage.audio)
    if price.is_free():
        return np.zeros(size, np.int64), np.ones(size, np.bool_)
    rate = _rates_by_row(price, usage.prompt.value)
    cached, reasoning = usage.cached, usage.reasoning
    possible = (
        usage.prompt.known
        & usage.completion.known
        & ~usage.audio
        & (cached.known | (rate["cached"] == rate["prompt"]))
        & (reasoning.known | (rate["reasoning"] == rate["completion"]))
    )
    known = possible & _plausible(usage, cached.value, reasoning.value)
    return _pico(price, rate, usage, cached.value, reasoning.value, known), known


def without_details(price: Price, usage: Usage) -> tuple[Ints, Bools]:
    """As if nothing had been cached and nothing reasoned."""
    nothing = np.zeros(len(usage.audio), np.int64)
    known = usage.prompt.known & usage.completion.known & _plausible(usage, nothing, nothing)
    rate = _rates_by_row(price, usage.prompt.value)
    return _pico(price, rate, usage, nothing, nothing, known), known


def _plausible(usage: Usage, cached: Ints, reasoning: Ints) -> Bools:
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
        only = price.rates.per_token()
        return {name: np.array([getattr(only, name)], np.int64) for name in names}
    starts = np.array([tier.above_prompt_tokens for tier in price.tiers], np.int64)
    tier = np.searchsorted(starts, prompt_tokens, side="left")  # starts strictly below the prompt
    table = [r.per_token() for r in (price.rates, *(t.rates for t in price.tiers))]
    return {n: np.array([getattr(r, n) for r in table], np.int64)[tier] for n in names}


def _pico(
    price: Price, rate: dict[str, Ints], usage: Usage, cached: Ints, reasoning: Ints, known: Bools
) -> Ints:
    # Rows that are not known may hold any number at all; zeros keep them from overflowing.
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
