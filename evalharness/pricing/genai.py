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

from evalharness.pricing.price import Price, PriceRates, PriceTier, is_exact

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


def find(provider: str, model: str, day: date) -> Price | None:
    """The bundled price of a model on a day; None without the package or when it knows none."""
    known = _providers().get(provider) if _data_names_provider(provider) else None
    info = None if known is None else known.find_model(model)
    if known is None or info is None:
        return None
    prices = info.get_prices(datetime.combine(day, time(12), UTC))
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
    from importlib.metadata import version  # takes longer to import than all of this package

    urls: list[str] = known.pricing_urls or []
    return Price(
        model=model,
        provider=provider,
        rates=base,
        tiers=tuple(
            PriceTier(above_prompt_tokens=start, rates=rate)
            for start, rate in zip(starts, rest, strict=True)
        ),
        per_request_usd=Decimal(0) if fee is None else fee / 1000,
        source=urls[0] if urls else None,
        table=f"genai-prices {version('genai-prices')}",
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
