"""Prices from the ``genai-prices`` package (MIT), where it is installed and knows the model.

The package is an optional extra: it brings pydantic and takes 0.2 to 0.4 s to import, so it is
imported only when no price file knows a model and its data names the provider. Only its bundled
data is used; nothing is fetched. A provider is matched by its exact id, never by likeness: a wrong
price is worse than none.
"""

from __future__ import annotations

import importlib
import importlib.util
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from evalharness.pricing.price import Price, Rates, Tier, is_exact

# What is read. A model with other positive rates for tokens of these kinds is still right for text;
# rates of other kinds (audio, images, searches) concern requests whose cost stays unknown.
_KEYS = {
    "prompt": "input_mtok",
    "completion": "output_mtok",
    "cached": "cache_read_mtok",
    "reasoning": "output_reasoning_mtok",
}


def find(provider: str, model: str, day: date) -> Price | None:
    """The bundled price of a model on a day; None without the package or when it knows none."""
    known = _providers().get(provider) if _named(provider) else None
    info = None if known is None else known.find_model(model)
    if known is None or info is None:
        return None
    prices = info.get_prices(datetime.combine(day, time(12), UTC))
    found = {name: getattr(prices, key, None) for name, key in _KEYS.items()}
    if found["prompt"] is None or found["completion"] is None:
        return None
    starts = sorted(
        {tier.start for value in found.values() for tier in getattr(value, "tiers", ())}
    )
    fee = getattr(prices, "requests_kcount", None)
    rates = [_rates(found, start) for start in (None, *starts)]
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
            Tier(above_prompt_tokens=start, rates=rate)
            for start, rate in zip(starts, rest, strict=True)
        ),
        per_request_usd=Decimal(0) if fee is None else fee / 1000,
        source=urls[0] if urls else None,
        table=f"genai-prices {version('genai-prices')}",
    )


def _rates(found: dict[str, Any], prompt_tokens_above: int | None) -> Rates | None:
    """The rates above a tier's start (None: the base); None when one is finer than we count."""
    values: dict[str, Decimal | None] = {}
    for name, value in found.items():
        rate = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            if prompt_tokens_above is not None and tier.start <= prompt_tokens_above:
                rate = tier.price
        if rate is not None and not is_exact(rate):
            return None
        values[name] = rate
    prompt, completion = values["prompt"], values["completion"]
    assert prompt is not None
    assert completion is not None
    return Rates(
        prompt=prompt,
        completion=completion,
        cached=values["cached"],
        reasoning=values["reasoning"],
    )


def _named(provider: str) -> bool:
    """Whether the text of the package's data has such an id; also where there is no text to ask."""
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
