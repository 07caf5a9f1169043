"""Costs of a whole table of records: arrays for statistics, exact totals for money.

Rows are grouped by provider, model and day, so that a million records need a handful of price
look-ups; the rest is integer arithmetic in pico-dollars. No total passes through a float.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from evalharness.pricing.arrow import (
    Bools,
    Floats,
    Ints,
    Money,
    Usage,
    day_groups,
    delivered,
    read_codes,
    read_money,
    read_usage,
)
from evalharness.pricing.book import PriceBook
from evalharness.pricing.difference import likely_reason
from evalharness.pricing.price import MAX_TOKENS, PICO, Price, to_usd

if TYPE_CHECKING:
    import pyarrow as pa


class SettingCost(msgspec.Struct, frozen=True, kw_only=True):
    """The money of one setting. Dollars are exact; None means that no row has a figure.

    Attributes:
        rows: records of the setting.
        known: rows whose cost is exact; they alone make ``total_usd``.
        estimated: further rows with a price but incomplete usage; ``estimate_usd`` is their sum,
            rounded to pico-dollars, and in no total.
        unpriced: rows whose model has no price.
        billed_rows: rows for which the provider reported ``billed_usd``; their sum is
            ``billed_total_usd``.
        compared: rows with both; ``difference_usd`` is computed minus billed over exactly these,
            and ``difference_reason`` says what likely makes it.
    """

    rows: int
    known: int
    total_usd: Decimal | None
    estimated: int
    estimate_usd: Decimal | None
    unpriced: int
    billed_rows: int
    billed_total_usd: Decimal | None
    compared: int
    difference_usd: Decimal | None
    difference_reason: str | None


class Costs(NamedTuple):
    """Costs of a records table, row by row and by setting.

    ``cost_usd`` is exact up to float64 and NaN where unknown; ``estimate_usd`` is NaN except where
    ``estimated``. ``settings`` maps setting_id. ``prices`` are those used; ``unpriced`` the
    (provider, model) pairs without one.
    """

    cost_usd: Floats
    estimate_usd: Floats
    estimated: Bools
    billed_usd: Floats
    settings: dict[str, SettingCost]
    prices: list[Price]
    unpriced: list[tuple[str | None, str | None]]

    def describe(self) -> dict[str, Any]:
        """The prices used with table, date and source, what has none, and the money by setting.

        Plain JSON data; exact dollar amounts are texts.
        """
        used = [
            {
                "provider": price.provider,
                "model": price.model,
                "table": price.table,
                "as_of": None if price.as_of is None else price.as_of.isoformat(),
                "valid_from": None if price.valid_from is None else price.valid_from.isoformat(),
                "source": price.source,
            }
            for price in self.prices
        ]
        missing = [{"provider": provider, "model": model} for provider, model in self.unpriced]
        money = {
            name: {
                key: f"{value:f}" if isinstance(value, Decimal) else value
                for key, value in msgspec.structs.asdict(setting).items()
            }
            for name, setting in self.settings.items()
        }
        return {"used": used, "unpriced": missing, "settings": money}


def cost_columns(records: pa.Table, book: PriceBook, *, at: date | None = None) -> Costs:
    """What each record cost, and each setting.

    A cost supplied with an import (``cost_usd_imported``) is taken as it is. A record's day is that
    of ``sent_at`` in UTC.

    An estimate is made for delivered records with a price but without complete usage: with nothing
    cached and nothing reasoned where only those counts are missing, else the mean cost of the
    setting's known records. Records with status ``error`` get none: they may have cost nothing.

    Args:
        records: a table with :data:`~evalharness.pricing.arrow.COLUMNS`.
        book: the prices.
        at: the day for records without ``sent_at``; None is today.
    """
    rows = records.num_rows
    usage = read_usage(records)
    by_price, unpriced = _by_price(records, book, at)
    pico, known = _exact_of_all(records, usage, by_price)
    rough, rough_known = np.zeros(rows, np.int64), np.zeros(rows, np.bool_)
    priced = known.copy()
    prices: list[Price] = []
    for price, members in by_price:
        if price not in prices:
            prices.append(price)
        priced[members] = True
        # Of the others no estimate is made.
        guessed = members[~known[members]]
        rough[guessed], rough_known[guessed] = _without_details(price, usage.take(guessed))
    setting_ids, codes = read_codes(records, "setting_id")
    wanted = delivered(records) & priced & ~known
    estimate = _estimates(pico, known, rough, rough_known, wanted, codes)
    billed = read_money(records, "billed_usd")
    special = (usage.cached.value > 0) | (usage.reasoning.value > 0)
    return Costs(
        cost_usd=np.where(known, pico / PICO, np.nan),
        estimate_usd=estimate,
        estimated=~np.isnan(estimate),
        billed_usd=_dollars(billed),
        settings={
            str(name): _setting(codes == code, pico, known, estimate, priced, billed, special)
            for code, name in enumerate(setting_ids)
        },
        prices=prices,
        unpriced=unpriced,
    )


def exact_costs(records: pa.Table, book: PriceBook) -> tuple[Ints, Bools]:
    """What each record cost, in pico-dollars, and where it is known: no estimates, no sums.

    Args:
        records: as for :func:`cost_columns`.
        book: the prices.
    """
    return _exact_of_all(records, read_usage(records), _by_price(records, book, None)[0])


def _by_price(
    records: pa.Table, book: PriceBook, at: date | None
) -> tuple[list[tuple[Price, Ints]], list[tuple[str | None, str | None]]]:
    """Row numbers of the records that share a price; provider and model of those without one."""
    found: list[tuple[Price, Ints]] = []
    unpriced: list[tuple[str | None, str | None]] = []
    for (provider, model, day), members in day_groups(records, at):
        price = None if model is None else book.find(provider, model, day)
        if price is not None:
            found.append((price, members))
        elif (provider, model) not in unpriced:
            unpriced.append((provider, model))
    return found, unpriced


def _exact_of_all(
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


def _without_details(price: Price, usage: Usage) -> tuple[Ints, Bools]:
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


def _estimates(
    pico: Ints, known: Bools, rough: Ints, rough_known: Bools, wanted: Bools, codes: Ints
) -> Floats:
    """Dollars where wanted and possible, else NaN."""
    groups = int(codes.max(initial=-1)) + 1
    counts = np.bincount(codes[known], minlength=groups)
    sums = np.bincount(codes[known], weights=pico[known] / PICO, minlength=groups)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    estimate = np.where(rough_known, rough / PICO, means[codes] if groups else np.nan)
    return np.where(wanted, estimate, np.nan)


def _setting(
    mine: Bools,
    pico: Ints,
    known: Bools,
    estimate: Floats,
    priced: Bools,
    billed: Money,
    special: Bools,
) -> SettingCost:
    exact = mine & known
    paid = mine & billed.known
    both = exact & paid
    guessed = mine & ~np.isnan(estimate)
    guess = round(float(np.sum(estimate[guessed])) * PICO)
    difference = _sum(pico[both]) - _sum_money(billed, both)
    return SettingCost(
        rows=int(mine.sum()),
        known=int(exact.sum()),
        total_usd=to_usd(_sum(pico[exact])) if exact.any() else None,
        estimated=int(guessed.sum()),
        estimate_usd=to_usd(guess) if guessed.any() else None,
        unpriced=int((mine & ~priced).sum()),
        billed_rows=int(paid.sum()),
        billed_total_usd=to_usd(_sum_money(billed, paid)) if paid.any() else None,
        compared=int(both.sum()),
        difference_usd=to_usd(difference) if both.any() else None,
        # Equal in exact arithmetic is equal, whatever floats make of it.
        difference_reason=likely_reason(pico[both] / PICO, _dollars(billed)[both], special[both])
        if difference
        else None,
    )


def _sum(values: Ints) -> int:
    """An exact sum: the halves of a million 64-bit numbers add up without overflow."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def _sum_money(money: Money, rows: Bools) -> int:
    low = money.low[rows]
    words = (int((low >> np.uint64(32)).sum()) << 32) + int((low & np.uint64(0xFFFFFFFF)).sum())
    return (_sum(money.high[rows]) << 64) + words


def _dollars(money: Money) -> Floats:
    value = (money.high.astype(np.float64) * 2.0**64 + money.low.astype(np.float64)) / PICO
    return np.where(money.known, value, np.nan)
