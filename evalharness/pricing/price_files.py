"""Price files: YAML to prices, with everything unexpected refused.

::

    as_of: 2026-10-11            # optional: the day the table was read
    source: https://…            # optional: of every price without its own
    prices:
      - provider: dashscope      # optional: any provider
        model: qwen-plus         # a name, a pattern (qwen-plus*), or a list of them
        valid_from: 2025-04-22   # optional: since ever
        price_usd_per_mtok: {prompt: 0.4, cached: 0.08, completion: 1.2, reasoning: 4}
                                 # also cache_write: of prompt tokens written to a cache, and
                                 # cache_write_1h: of those written for an hour
        tiers:                   # optional; the whole request is priced at its tier
          - above_prompt_tokens: 256000
            price_usd_per_mtok: {prompt: 1.2, completion: 3.6}
        per_request_usd: 0       # optional
        batch_discount: 0.5      # optional: the share of all above that a batch costs less, or
        batch:                   # its own rates; also tiers and per_request_usd
          price_usd_per_mtok: {prompt: 0.2, completion: 0.6}
        currency: USD            # optional; nothing else is read
        source: https://…        # optional
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, cast

import msgspec

from evalharness.config import strict_yaml
from evalharness.errors import ConfigError
from evalharness.pricing.batch_price import discounted
from evalharness.pricing.price import (
    MAX_FEE_USD,
    MAX_USD_PER_MTOK,
    BatchRates,
    Price,
    PriceRates,
    PriceTier,
    has_decimals,
    is_exact,
)

_TABLE_KEYS = {"prices", "source", "as_of"}
_PRICE_KEYS = {
    "provider", "model", "valid_from", "price_usd_per_mtok", "tiers", "per_request_usd",
    "batch", "batch_discount", "currency", "source",
}  # fmt: skip
_BATCH_KEYS = {"price_usd_per_mtok", "tiers", "per_request_usd"}
_TIER_KEYS = {"above_prompt_tokens", "price_usd_per_mtok"}
_RATE_KEYS = {"prompt", "cached", "cache_write", "cache_write_1h", "completion", "reasoning"}
_EXAMPLE = "prices: [{model: NAME, price_usd_per_mtok: {prompt: 0.4, completion: 1.2}}]"


def read_prices(path: Path) -> list[Price]:
    """The prices of a file.

    Raises:
        ConfigError: naming file and key (and the line of malformed YAML).
    """
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"cannot read the price file {name}: {error.strerror}", hint="check the path"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: not valid UTF-8") from None
    try:
        data = strict_yaml.parse_yaml(text, number=Decimal)
    except strict_yaml.YamlError as error:
        line = "" if error.line is None else f":{error.line}"
        raise ConfigError(f"{name}{line}: {error.message}") from None
    return parse_prices(data, name, table=path.name)


def parse_prices(data: Any, where: str, *, table: str) -> list[Price]:
    """The prices of a table given as plain data.

    Args:
        data: the mapping; numbers may be int, Decimal, text, or float, which is taken as the
            shortest text that reads back as it (0.4 is 0.4).
        where: how messages call it.
        table: name of the table in reports.

    Raises:
        ConfigError: naming ``where`` and the key.
    """
    content = _mapping(data, where, _TABLE_KEYS)
    if "prices" not in content:
        raise ConfigError(f"{where}: the key prices is missing", hint=_EXAMPLE)
    source = _text(content.get("source"), f"{where}: source")
    as_of = _date(content.get("as_of"), f"{where}: as_of")
    prices: list[Price] = []
    for index, entry in enumerate(_sequence(content["prices"], f"{where}: prices")):
        at = f"{where}: prices[{index}]"
        prices += _parse_entry(entry, at, table, source, as_of)
    return prices


def _parse_entry(
    data: Any, at: str, table: str, source: str | None, as_of: date | None
) -> Iterable[Price]:
    entry = _mapping(data, at, _PRICE_KEYS)
    for key in ("model", "price_usd_per_mtok"):
        if entry.get(key) is None:
            raise ConfigError(f"{at}: the key {key} is missing", hint=_EXAMPLE)
    if entry.get("currency", "USD") != "USD":
        raise ConfigError(f"{at}.currency: only USD is read, got {entry['currency']!r}")
    model: Any = entry["model"]
    models = cast("list[Any]", model) if isinstance(model, list) else [model]
    price = Price(
        model="",
        rates=_rates(entry["price_usd_per_mtok"], f"{at}.price_usd_per_mtok"),
        tiers=_tiers(entry.get("tiers"), f"{at}.tiers"),
        per_request_usd=_fee(entry.get("per_request_usd"), f"{at}.per_request_usd"),
        provider=_text(entry.get("provider"), f"{at}.provider"),
        valid_from=_date(entry.get("valid_from"), f"{at}.valid_from"),
        source=_text(entry.get("source"), f"{at}.source") or source,
        table=table,
        as_of=as_of,
    )
    price = msgspec.structs.replace(price, batch=_batch(entry, price, at))
    for item in models:
        name = _text(item, f"{at}.model")
        if not name:
            raise ConfigError(f"{at}.model: a model name is empty")
        yield msgspec.structs.replace(price, model=name)


def _batch(entry: dict[str, Any], price: Price, at: str) -> BatchRates | None:
    """What requests in a batch cost, as an entry says it."""
    given, discount = entry.get("batch"), entry.get("batch_discount")
    if given is not None and discount is not None:
        raise ConfigError(f"{at}: batch and batch_discount exclude each other")
    if discount is not None:
        share = _decimal(discount, f"{at}.batch_discount")
        if not 0 <= share <= 1:
            raise ConfigError(
                f"{at}.batch_discount: expected a share from 0 to 1, got {share}",
                hint="batch_discount: 0.5 is half the price",
            )
        basis = f"batch_discount: {share:f}"
        batch = discounted(price.rates, price.tiers, price.per_request_usd, share, basis)
        if batch is None:
            raise ConfigError(
                f"{at}.batch_discount: {share} off leaves a price with more than six decimals",
                hint="batch: {price_usd_per_mtok: {…}} gives the prices themselves",
            )
        return batch
    if given is None:
        return None
    rates = _mapping(given, f"{at}.batch", _BATCH_KEYS)
    if rates.get("price_usd_per_mtok") is None:
        raise ConfigError(f"{at}.batch: the key price_usd_per_mtok is missing", hint=_EXAMPLE)
    return BatchRates(
        rates=_rates(rates["price_usd_per_mtok"], f"{at}.batch.price_usd_per_mtok"),
        tiers=_tiers(rates.get("tiers"), f"{at}.batch.tiers"),
        per_request_usd=_fee(rates.get("per_request_usd"), f"{at}.batch.per_request_usd"),
        basis="batch rates of the table",
    )


def _rates(data: Any, at: str) -> PriceRates:
    rates = _mapping(data, at, _RATE_KEYS)
    for key in ("prompt", "completion"):
        if rates.get(key) is None:
            raise ConfigError(
                f"{at}: the key {key} is missing", hint="0 says free; leaving a price out does not"
            )
    values = {
        key: None if rates.get(key) is None else _money(rates[key], f"{at}.{key}")
        for key in _RATE_KEYS
    }
    return PriceRates(
        prompt=cast("Decimal", values["prompt"]),
        completion=cast("Decimal", values["completion"]),
        cached=values["cached"],
        cache_write=values["cache_write"],
        reasoning=values["reasoning"],
        cache_write_1h=values["cache_write_1h"],
    )


def _tiers(data: Any, at: str) -> tuple[PriceTier, ...]:
    tiers: list[PriceTier] = []
    for index, item in enumerate(_sequence(data, at)):
        tier_at = f"{at}[{index}]"
        tier = _mapping(item, tier_at, _TIER_KEYS)
        above = tier.get("above_prompt_tokens")
        if isinstance(above, bool) or not isinstance(above, int) or above < 1:
            raise ConfigError(f"{tier_at}.above_prompt_tokens: expected a count ≥ 1, got {above!r}")
        if tiers and above <= tiers[-1].above_prompt_tokens:
            raise ConfigError(f"{tier_at}.above_prompt_tokens: tiers must rise, got {above}")
        rates = _rates(tier.get("price_usd_per_mtok"), f"{tier_at}.price_usd_per_mtok")
        tiers.append(PriceTier(above_prompt_tokens=above, rates=rates))
    return tuple(tiers)


def _money(value: Any, at: str) -> Decimal:
    amount = _decimal(value, at)
    if not 0 <= amount <= MAX_USD_PER_MTOK:
        raise ConfigError(
            f"{at}: expected US dollars per million tokens, 0 to {MAX_USD_PER_MTOK}, got {value}"
        )
    if not is_exact(amount):
        raise ConfigError(f"{at}: more than six decimals, got {value}")
    return amount


def _fee(value: Any, at: str) -> Decimal:
    amount = Decimal(0) if value is None else _decimal(value, at)
    if not (0 <= amount <= MAX_FEE_USD and has_decimals(amount, 12)):
        raise ConfigError(
            f"{at}: expected US dollars, 0 to {MAX_FEE_USD}, at most 12 decimals, got {value}"
        )
    return amount


def _decimal(value: Any, at: str) -> Decimal:
    if isinstance(value, float):
        value = repr(value)
    if not isinstance(value, bool) and isinstance(value, int | Decimal | str):
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = None
        if amount is not None and amount.is_finite():
            return amount
    raise ConfigError(f"{at}: expected a number, got {value!r}")


def _mapping(data: Any, at: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError(f"{at}: expected a mapping, got {data!r:.60}", hint=_EXAMPLE)
    mapping = cast("dict[str, Any]", data)
    for key in mapping:
        if key not in keys:
            raise ConfigError(
                f"{at}: unknown key {key!r}", hint=f"known: {', '.join(sorted(keys))}"
            )
    return mapping


def _sequence(data: Any, at: str) -> list[Any]:
    if data is None:
        return []
    if not isinstance(data, list):
        raise ConfigError(f"{at}: expected a list, got {data!r:.60}")
    return cast("list[Any]", data)


def _text(value: Any, at: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ConfigError(f"{at}: expected text, got {value!r}", hint="put it in quotes")


def _date(value: Any, at: str) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(f"{at}: expected a date such as 2026-01-31, got {value!r}") from None
