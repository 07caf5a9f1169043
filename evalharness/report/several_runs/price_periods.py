"""The prices of models over the days of several runs, and where they changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise

import msgspec

from evalharness.pricing.price import PriceRates, usd_text


class PricePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One price of a model inside the span of the runs.

    Records that came with a cost of their own are in none: no price made it.

    Attributes:
        provider, model: of the records; null where they name none.
        first_day, last_day: UTC days of the first and the last record at this price.
        price_usd_per_mtok: US dollars a million tokens; null where the model has no price.
        per_request_usd: fee of each request; null where the model has no price.
        records: how many there are.
        total_usd: US dollars of those of known cost; null where none has one.
        changed: whether this price differs from the one before it of the same model.
        in_batch: whether it is the price of requests in batches.
    """

    provider: str | None
    model: str | None
    first_day: date
    last_day: date
    price_usd_per_mtok: PriceRates | None
    per_request_usd: Decimal | None
    records: int
    total_usd: Decimal | None
    changed: bool
    in_batch: bool = False


def price_sentences(prices: Sequence[PricePeriod]) -> list[str]:
    """Each change of a price, with what it was and is."""
    return [
        f"The price of {after.model}{' in batches' if after.in_batch else ''} changed on "
        f"{after.first_day}: {rates_text(before)} until {before.last_day}, then "
        f"{rates_text(after)}."
        for before, after in pairwise(prices)
        if after.changed
    ]


_RATES = ("prompt", "completion", "cached", "cache_write", "cache_write_1h", "reasoning")


def rates_text(period: PricePeriod) -> str:
    """``$0.4 prompt, $1.2 completion a million tokens``."""
    rates = period.price_usd_per_mtok
    if rates is None:
        return "no price"
    parts = [
        f"{usd_text(value)} {kind}"
        for kind in _RATES
        if (value := getattr(rates, kind)) is not None
    ]
    fee = f", {usd_text(period.per_request_usd)} a request" if period.per_request_usd else ""
    return f"{', '.join(parts)} a million tokens{fee}"
