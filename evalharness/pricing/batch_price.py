"""The price of requests in a batch: rates of their own, or a share off the ordinary ones."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from evalharness.pricing.price import (
    BatchRates,
    Price,
    PriceRates,
    PriceTier,
    has_decimals,
    is_exact,
)

_FREE = "what is free is free in batches"


def batch_price(price: Price, discount: float | None) -> Price | None:
    """The price of the same requests in a batch; None where it is unknown.

    The price's own batch rates go before ``discount``, the provider's documented share off
    (``profile.batch.discount``; None is unknown). A discount that leaves no whole number of
    pico-dollars per token is not applied.
    """
    batch = price.batch
    if batch is None and price.is_free():
        batch = BatchRates(rates=price.rates, tiers=price.tiers, basis=_FREE)
    if batch is None and discount is not None:
        share = Decimal(repr(discount))
        basis = f"provider.profile.batch.discount={share:f}"
        batch = discounted(price.rates, price.tiers, price.per_request_usd, share, basis)
    if batch is None:
        return None
    return msgspec.structs.replace(
        price,
        rates=batch.rates,
        tiers=batch.tiers,
        per_request_usd=batch.per_request_usd,
        batch=None,
        batch_basis=batch.basis,
    )


def discounted(
    rates: PriceRates,
    tiers: tuple[PriceTier, ...],
    per_request_usd: Decimal,
    discount: Decimal,
    basis: str,
) -> BatchRates | None:
    """A share off every rate and off the fee; None where an amount would not be exact."""
    factor = 1 - discount
    base = _times(rates, factor)
    higher = [(tier.above_prompt_tokens, _times(tier.rates, factor)) for tier in tiers]
    scaled = tuple(
        PriceTier(above_prompt_tokens=above, rates=tier_rates)
        for above, tier_rates in higher
        if tier_rates is not None
    )
    fee = per_request_usd * factor
    if base is None or len(scaled) < len(tiers) or not has_decimals(fee, 12):
        return None
    return BatchRates(rates=base, tiers=scaled, per_request_usd=fee, basis=basis)


def _times(rates: PriceRates, factor: Decimal) -> PriceRates | None:
    given: dict[str, Decimal | None] = msgspec.structs.asdict(rates)
    scaled = {name: None if rate is None else rate * factor for name, rate in given.items()}
    if not all(rate is None or is_exact(rate) for rate in scaled.values()):
        return None
    return msgspec.convert(scaled, PriceRates)
