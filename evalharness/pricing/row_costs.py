"""The exact cost of each record of a table, in pico-dollars: no estimates, no sums.

Where it is unknown, the reason is told by a code: 0 for a known cost, else one more than the
index of the reason in :data:`~.cost_formula.REASONS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.pricing.book import PriceBook
from evalharness.pricing.cost_formula import (
    COUNT_MISSING,
    NO_PRICE,
    REASONS,
    USAGE_CONTRADICTS,
    TokenKinds,
    is_contradictory,
    is_count_missing,
    is_rate_missing,
    request_pico,
)
from evalharness.pricing.price import PICO, Price
from evalharness.pricing.usage_columns import (
    Bools,
    Ints,
    PriceKey,
    UsageColumns,
    group_by_price_key,
    read_money,
    read_usage,
)
from evalharness.pricing.usage_rules import billed_counts

if TYPE_CHECKING:
    import pyarrow as pa

ReasonCodes = NDArray[np.uint8]

#: Kinds of tokens that may have a price of their own, beside prompt and completion.
OwnPrice = Literal["cached", "cache_write", "reasoning"]

#: The code of a known cost.
KNOWN = 0
_REASON_CODES = {reason: code for code, reason in enumerate(REASONS, start=1)}


class RowCosts(NamedTuple):
    """The cost of each row in pico-dollars, and why it is unknown.

    ``by_rule`` marks rows whose usage does not add up as documented and is priced by a rule;
    ``prompt_tokens`` are those that are billed, 0 where unknown.
    """

    pico: Ints
    reasons: ReasonCodes
    by_rule: Bools
    prompt_tokens: Ints


def row_costs_at_full_price(
    records: pa.Table, book: PriceBook, kinds: Collection[OwnPrice]
) -> RowCosts:
    """What each record would cost if some kinds of tokens had no price of their own."""
    usage, by_price = read_usage(records), PriceLookup(book, None).group_by_price(records)
    return row_costs_by_price(records, usage, by_price, kinds)


def row_costs(records: pa.Table, book: PriceBook) -> tuple[Ints, Bools]:
    """The cost of each record in pico-dollars, and where it is known.

    Args:
        records: as for :func:`~.cost_columns.cost_columns`.
        book: the prices.
    """
    by_price = PriceLookup(book, None).group_by_price(records)
    costs = row_costs_by_price(records, read_usage(records), by_price)
    return costs.pico, costs.reasons == KNOWN


def highest_row_costs(records: pa.Table, book: PriceBook) -> tuple[Ints, Bools]:
    """The most each record may have cost where its usage contradicts itself, and where it does.

    See :meth:`~.price.Price.highest_cost`; such rows are few, so they are priced one by one.
    """
    usage, by_price = read_usage(records), PriceLookup(book, None).group_by_price(records)
    costs = row_costs_by_price(records, usage, by_price)
    pico, known = np.zeros(records.num_rows, np.int64), np.zeros(records.num_rows, np.bool_)
    is_contradictory_row = costs.reasons == _REASON_CODES[USAGE_CONTRADICTS]
    for price, rows in by_price:
        contradictory: list[int] = rows[is_contradictory_row[rows]].tolist()
        for row in contradictory:
            highest = price.highest_cost(usage.row(row))
            if highest is not None:
                pico[row], known[row] = int(highest * PICO), True
    return pico, known


def row_costs_as_live(records: pa.Table, book: PriceBook) -> tuple[Ints, Bools]:
    """The cost of each record in pico-dollars if it had been sent alone, and where it is known."""
    by_price = PriceLookup(book, None, as_live=True).group_by_price(records)
    costs = row_costs_by_price(records, read_usage(records), by_price)
    return costs.pico, costs.reasons == KNOWN


def count_reasons(codes: ReasonCodes) -> dict[str, int]:
    """How many rows have an unknown cost, by reason; reasons that no row has are left out."""
    counts = np.bincount(codes, minlength=len(REASONS) + 1).tolist()[1:]
    return {reason: n for reason, n in zip(REASONS, counts, strict=True) if n}


def no_price_rows(codes: ReasonCodes) -> Bools:
    """The rows whose cost is unknown for want of a price."""
    return codes == _REASON_CODES[NO_PRICE]


def reason_rows(codes: ReasonCodes) -> Iterator[tuple[str, Bools]]:
    """Each reason that some row has, and the rows of unknown cost for that reason."""
    for reason in count_reasons(codes):
        yield reason, codes == _REASON_CODES[reason]


class PriceLookup:
    """Looks prices up by provider, model and day, each once.

    With ``as_live``, requests in a batch are priced as such that were sent alone.

    Attributes:
        prices_by_key: None where there is no price.
    """

    def __init__(self, book: PriceBook, at: date | None, *, as_live: bool = False) -> None:
        self._book = book
        self._at = at
        self._as_live = as_live
        self.prices_by_key: dict[PriceKey, Price | None] = {}

    def group_by_price(self, records: pa.Table) -> list[tuple[Price, Ints]]:
        """Row numbers of the records that share a price."""
        groups: list[tuple[Price, Ints]] = []
        for key, rows in group_by_price_key(records, self._at, as_live=self._as_live):
            if key not in self.prices_by_key:
                provider, model, day, in_batch = key
                self.prices_by_key[key] = (
                    None
                    if model is None
                    else self._book.find(provider, model, day, in_batch=in_batch)
                )
            price = self.prices_by_key[key]
            if price is not None:
                groups.append((price, rows))
        return groups

    def prices(self) -> list[Price]:
        """The prices used, each once: in the order of providers, models and days."""
        return list(dict.fromkeys(p for _, p in self._sorted_items() if p is not None))

    def unpriced(self, *, in_batch: bool = False) -> list[tuple[str | None, str | None]]:
        """Provider and model where there is no price for requests in a batch, or sent alone."""
        missing = [key for key, p in self._sorted_items() if p is None]
        return list(dict.fromkeys(key[:2] for key in missing if key.in_batch == in_batch))

    def _sorted_items(self) -> list[tuple[PriceKey, Price | None]]:
        providers, models = (
            {
                value: i
                for i, value in enumerate(dict.fromkeys(key[part] for key in self.prices_by_key))
            }
            for part in (0, 1)
        )
        return sorted(
            self.prices_by_key.items(),
            key=lambda item: (
                providers[item[0].provider],
                models[item[0].model],
                item[0].day or date.min,
                item[0].in_batch,
            ),
        )


def row_costs_by_price(
    records: pa.Table,
    usage: UsageColumns,
    by_price: list[tuple[Price, Ints]],
    at_full_price: Collection[OwnPrice] = (),
) -> RowCosts:
    """The cost of each record in pico-dollars, and why it is unknown; imported costs win.

    The kinds ``at_full_price`` are priced as prompt and completion tokens.
    """
    pico = np.zeros(records.num_rows, np.int64)
    reason = np.full(records.num_rows, _REASON_CODES[NO_PRICE], np.uint8)
    by_rule, prompts = np.zeros(records.num_rows, np.bool_), usage.prompt.value
    for price, rows in by_price:
        if len(rows) == records.num_rows:
            pico, reason, by_rule, prompts = _costs_at_price(price, usage, at_full_price)
        else:
            part = _costs_at_price(price, usage.take(rows), at_full_price)
            pico[rows], reason[rows], by_rule[rows] = part.pico, part.reasons, part.by_rule
            prompts = prompts.copy()
            prompts[rows] = part.prompt_tokens
    if "cost_usd_imported" in records.column_names:
        imported = read_money(records, "cost_usd_imported")
        is_valid = imported.known & (imported.high == 0) & (imported.low < 2**62)
        pico[is_valid] = imported.low[is_valid].astype(np.int64)
        reason[is_valid], by_rule[is_valid] = KNOWN, False
    return RowCosts(pico, reason, by_rule, prompts)


def _costs_at_price(
    price: Price, usage: UsageColumns, at_full_price: Collection[OwnPrice]
) -> RowCosts:
    """Pico-dollars of each row, and why they are unknown: :meth:`Price.cost`, vectorised."""
    size = len(usage.audio)
    if price.is_free():
        zeros, nowhere = np.zeros(size, np.int64), np.zeros(size, np.bool_)
        return RowCosts(zeros, np.zeros(size, np.uint8), nowhere, usage.prompt.value)
    counts, contradicts, by_rule = billed_counts(
        TokenKinds(*(column.value for column in usage.kinds())),
        usage.total.value,
        usage.total.known,
        price.usage_rule,
    )
    rates = _without_own_price(_rates_by_row(price, counts.prompt), at_full_price)
    missing = TokenKinds(*(~column.known for column in usage.kinds()))
    reason = np.zeros(size, np.uint8)
    # The first reason of the list stands, so it is written last.
    reason[contradicts | is_contradictory(counts)] = _REASON_CODES[USAGE_CONTRADICTS]
    reason[is_count_missing(missing, counts, rates)] = _REASON_CODES[COUNT_MISSING]
    reason[usage.audio | is_rate_missing(counts, rates)] = _REASON_CODES[NO_PRICE]
    known = reason == KNOWN
    pico = _pico_where(known, counts, rates, price)
    return RowCosts(pico, reason, by_rule & known, counts.prompt)


def _without_own_price(rates: TokenKinds[Ints], kinds: Collection[OwnPrice]) -> TokenKinds[Ints]:
    full = {"cached": rates.prompt, "cache_write": rates.prompt, "reasoning": rates.completion}
    replaced: dict[str, Ints] = {kind: full[kind] for kind in kinds}
    if "cache_write" in kinds:
        replaced["cache_write_1h"] = rates.prompt
    return rates._replace(**replaced)


def costs_without_details(price: Price, usage: UsageColumns) -> tuple[Ints, Bools]:
    """Row costs as if nothing had been cached and nothing reasoned, and where they are known."""
    zeros = np.zeros(len(usage.audio), np.int64)
    counts = TokenKinds(usage.prompt.value, zeros, zeros, usage.completion.value, zeros, zeros)
    known = usage.prompt.known & usage.completion.known & ~is_contradictory(counts)
    # What contradicts its own total is not estimated: nobody knows by how much it is wrong.
    known &= ~usage.total.known | (usage.total.value == counts.prompt + counts.completion)
    rates = _rates_by_row(price, usage.prompt.value)
    return _pico_where(known, counts, rates, price), known


def _rates_by_row(price: Price, prompt_tokens: Ints) -> TokenKinds[Ints]:
    """Pico-dollars per token of each row's tier; one for all rows where there is one tier."""
    if not price.tiers:
        return TokenKinds(*(np.array([rate], np.int64) for rate in price.rates.per_token()))
    starts = np.array([tier.above_prompt_tokens for tier in price.tiers], np.int64)
    tier = np.searchsorted(starts, prompt_tokens, side="left")  # starts strictly below the prompt
    table = [r.per_token() for r in (price.rates, *(t.rates for t in price.tiers))]
    return TokenKinds(*(np.array(rates, np.int64)[tier] for rates in zip(*table, strict=True)))


def _pico_where(
    known: Bools, counts: TokenKinds[Ints], rates: TokenKinds[Ints], price: Price
) -> Ints:
    """Pico-dollars of the rows of known cost, 0 for the others."""
    # Rows without a known cost may hold any number; zeros keep them from overflowing.
    safe = TokenKinds(*(np.where(known, count, 0) for count in counts))
    return np.where(known, request_pico(safe, rates, price.fee_pico()), 0)
