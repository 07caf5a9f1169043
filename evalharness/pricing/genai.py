"""Prices from the ``genai-prices`` package (MIT), where it is installed and knows the model.

The package is an optional extra: it brings pydantic and takes 0.2 to 0.4 s to import, so it is
imported only when no price file knows a model and its data names the provider. Only its bundled
data is used; nothing is fetched. A provider is matched by its exact id, never by similarity: a
wrong price is worse than none.
"""

from __future__ import annotations

import importlib
import importlib.util
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from evalharness.pricing.price import BatchRates, Price, PriceRates, PriceTier, is_exact

# The rates that are read. A model with other positive rates for tokens of these kinds is still
# right for text; rates of other kinds (audio, images, searches) concern requests whose cost stays
# unknown.
_RATE_FIELDS = {
    "prompt": "input_mtok",
    "completion": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
}
_BATCH = {"processing": "batch"}  # the package's name of requests in batches


def find(provider: str, model: str, day: date) -> Price | None:
    """The bundled price of a model on a day; None without the package or when it knows none."""
    known = _providers().get(provider) if _data_names_provider(provider) else None
    info = None if known is None else known.find_model(model)
    if known is None or info is None:
        return None
    moment = datetime.combine(day, time(12), UTC)
    table = _read(info.get_prices(moment))
    if table is None:
        return None
    from importlib.metadata import version  # takes longer to import than all of this package

    urls: list[str] = known.pricing_urls or []
    return Price(
        model=model,
        provider=provider,
        rates=table.rates,
        tiers=table.tiers,
        per_request_usd=table.per_request_usd,
        source=urls[0] if urls else None,
        table=f"genai-prices {version('genai-prices')}",
        batch=_batch(info, moment, has_fee=bool(table.per_request_usd)),
    )


def _batch(info: Any, moment: datetime, *, has_fee: bool) -> BatchRates | None:
    """What requests in a batch cost, by the prices that the package gives for them alone.

    The package takes a price that it does not give for batches from those of single requests; here
    tokens of such a kind cost what prompt or completion tokens of a batch do, as in price files.
    """
    for variant in getattr(info, "price_variants", None) or ():
        constraint = variant.constraint
        if variant.when == _BATCH and (constraint is None or constraint.active(moment)):
            batch = _read(variant.prices)
            return None if batch is None or (has_fee and not batch.per_request_usd) else batch
    return None


def _read(prices: Any) -> BatchRates | None:
    """The rates of a price of the package; None where they are incomplete, or not exact."""
    values = {name: getattr(prices, key, None) for name, key in _RATE_FIELDS.items()}
    if values["prompt"] is None or values["completion"] is None:
        return None
    starts = sorted(
        {tier.start for value in values.values() for tier in getattr(value, "tiers", ())}
    )
    fee = getattr(prices, "requests_kcount", None)
    rates = [_rates(values, start) for start in (None, *starts)]
    if any(rate is None for rate in rates) or not isinstance(fee, Decimal | None):
        return None
    base, *rest = [rate for rate in rates if rate is not None]
    return BatchRates(
        rates=base,
        tiers=tuple(
            PriceTier(above_prompt_tokens=start, rates=rate)
            for start, rate in zip(starts, rest, strict=True)
        ),
        per_request_usd=Decimal(0) if fee is None else fee / 1000,
        basis="batch rates of the table",
    )


def _rates(values: dict[str, Any], prompt_tokens_above: int | None) -> PriceRates | None:
    """The rates above a tier's start (None: the base); None when one has over six decimals."""
    rates: dict[str, Decimal | None] = {}
    for name, value in values.items():
        rate = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            if prompt_tokens_above is not None and tier.start <= prompt_tokens_above:
                rate = tier.price
        if rate is not None and not is_exact(rate):
            return None
        rates[name] = rate
    prompt, completion = rates["prompt"], rates["completion"]
    assert prompt is not None
    assert completion is not None
    return PriceRates(
        prompt=prompt,
        completion=completion,
        cached=rates["cached"],
        cache_write=rates["cache_write"],
        reasoning=rates["reasoning"],
    )


def _data_names_provider(provider: str) -> bool:
    """Whether the package's data names such an id; True where its source cannot be read."""
    package = importlib.util.find_spec("genai_prices")
    if package is None or package.origin is None:
        return package is not None
    try:
        text = Path(package.origin).with_name("data.py").read_bytes()
    except OSError:
        return True
    return any(f"id={quote}{provider}{quote}".encode() in text for quote in "'\"")


@cache
def _providers() -> dict[str, Any]:
    try:
        data: Any = importlib.import_module("genai_prices.data")
    except ImportError:
        return {}
    return {provider.id: provider for provider in data.providers}
