"""The price book: which price applies to a model at a provider on a day.

Layers, the first that knows the model wins: prices given to the command at hand (entries, then
files, a later one before an earlier), then the run's own configuration (entries, then files), then
the shipped ``configs/pricing/*.yaml``, then the ``genai-prices`` package where it is installed.
Within a layer the more specific entry wins: a named provider before any provider, an exact model
name before a pattern, a longer pattern before a shorter, then the later ``valid_from``, then the
later line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from evalharness.config.models import ProviderConfig, UsageRule
from evalharness.config.package_data import package_data_dir
from evalharness.pricing import genai
from evalharness.pricing.batch_price import batch_price
from evalharness.pricing.price import Price
from evalharness.pricing.price_files import parse_prices, read_prices


class PriceBook:
    """Prices in layers, in the order of precedence given above.

    Args:
        layers: price lists, strongest first.
        aliases: provider name → the name it is priced under (``profile.price_source``).
        usage_rules: provider name → how its usage is read (``profile.usage_rule``).
        batch_discounts: provider name → the share that a batch costs less there
            (``profile.batch.discount``), for prices that say nothing of batches.
        use_genai: ask ``genai-prices`` where no layer knows the model.
    """

    def __init__(
        self,
        layers: Iterable[Sequence[Price]] = (),
        *,
        aliases: Mapping[str, str] | None = None,
        usage_rules: Mapping[str, UsageRule] | None = None,
        batch_discounts: Mapping[str, float] | None = None,
        use_genai: bool = False,
    ) -> None:
        self._layers = [list(layer) for layer in layers]
        self._aliases = dict(aliases or {})
        self._usage_rules = dict(usage_rules or {})
        self._batch_discounts = dict(batch_discounts or {})
        self._use_genai = use_genai
        self._prices_by_model: dict[tuple[str | None, str, date, bool], Price | None] = {}

    @classmethod
    def read(
        cls,
        *,
        prices: Sequence[Any] = (),
        files: Sequence[Path] = (),
        overrides: Mapping[str, Any] | None = None,
        aliases: Mapping[str, str] | None = None,
        usage_rules: Mapping[str, UsageRule] | None = None,
        batch_discounts: Mapping[str, float] | None = None,
    ) -> PriceBook:
        """The book of a run or a report.

        Args:
            prices: entries of a price table as plain data, over all else.
            files: price files over all but ``prices``; a later file wins.
            overrides: a table as plain data (the ``pricing`` group of a run's configuration); its
                ``files`` key may name further price files.
            aliases: provider name → the name it is priced under.
            usage_rules: provider name → how its usage is read.
            batch_discounts: provider name → the share that a batch costs less there.

        Raises:
            ConfigError: a file that cannot be read or is not a price table, naming file and key.
        """
        table = dict(overrides or {})
        override_files = [Path(str(name)) for name in table.pop("files", None) or ()]
        layers: list[list[Price]] = []
        if prices:
            layers.append(parse_prices({"prices": list(prices)}, "pricing", table="override"))
        layers += [read_prices(path) for path in reversed(files)]
        if table:
            layers.append(parse_prices(table, "pricing", table="override"))
        layers += [read_prices(path) for path in reversed(override_files)]
        # The shipped files are one layer: together they are the project's own table.
        paths = sorted(package_data_dir("configs").glob("pricing/*.yaml"))
        layers.append([price for path in paths for price in read_prices(path)])
        return cls(
            layers,
            aliases=aliases,
            usage_rules=usage_rules,
            batch_discounts=batch_discounts,
            use_genai=True,
        )

    def find(
        self,
        provider: str | None,
        model: str,
        at: date | None = None,
        *,
        in_batch: bool = False,
    ) -> Price | None:
        """The price of a model on a day; None when no layer knows it.

        Args:
            provider: name of the provider configuration; None matches entries for any provider.
            model: the name as sent.
            at: the day of the request (UTC); None is today.
            in_batch: of a request in a batch: never the price of one that is sent alone.
        """
        day = at or datetime.now(UTC).date()
        key = (provider, model, day, in_batch)
        if key not in self._prices_by_model:
            price = self._search(provider, model, day)
            rule = None if provider is None else self._usage_rules.get(provider)
            if price is not None and rule is not None:
                price = msgspec.structs.replace(price, usage_rule=rule)
            if price is not None and in_batch:
                discount = None if provider is None else self._batch_discounts.get(provider)
                price = batch_price(price, discount)
            self._prices_by_model[key] = price
        return self._prices_by_model[key]

    def missing_hint(self, provider: str | None, model: str, *, in_batch: bool = False) -> str:
        """The line of a price file that would give a model its price (with made-up amounts)."""
        name = "" if provider is None else f"provider: {_yaml_quoted(provider)}, "
        discount = ", batch_discount: 0.5" if in_batch else ""
        return (
            f"prices: [{{{name}model: {_yaml_quoted(model)}, "
            f"price_usd_per_mtok: {{prompt: 0.40, completion: 1.20}}{discount}}}]"
        )

    def _search(self, provider: str | None, model: str, day: date) -> Price | None:
        """The price under the provider's own name, or under the one it is priced by."""
        source = None if provider is None else self._aliases.get(provider, provider)
        names = (provider,) if source == provider else (provider, source)
        for layer in self._layers:
            best: tuple[tuple[Any, ...], Price] | None = None
            for line, price in enumerate(layer):
                if any(_applies(price, name, model, day) for name in names):
                    rank = (*_specificity(price, model), price.valid_from or date.min, line)
                    if best is None or rank > best[0]:
                        best = (rank, price)
            if best is not None:
                return best[1]
        if self._use_genai and source is not None:
            return genai.find(source, model, day)
        return None


def provider_prices(provider: ProviderConfig, overrides: Mapping[str, Any]) -> PriceBook:
    """The book for one provider; ``overrides`` is a ``pricing`` group of a configuration."""
    profile, name = provider.profile, provider.name
    return PriceBook.read(
        overrides=overrides,
        aliases={name: profile.price_source} if profile.price_source else {},
        usage_rules={name: profile.usage_rule} if profile.usage_rule else {},
        batch_discounts=batch_discounts([provider]),
    )


def batch_discounts(providers: Iterable[ProviderConfig]) -> dict[str, float]:
    """Map a provider's name to the share that a batch costs less there, where it is known."""
    rules = {provider.name: provider.profile.batch for provider in providers}
    return {
        name: batch.discount
        for name, batch in rules.items()
        if batch is not None and batch.discount is not None
    }


def _applies(price: Price, provider: str | None, model: str, day: date) -> bool:
    return (
        price.provider in (None, provider)
        and (price.model == model or fnmatchcase(model, price.model))
        and (price.valid_from is None or price.valid_from <= day)
    )


def _specificity(price: Price, model: str) -> tuple[bool, bool, int]:
    return price.provider is not None, price.model == model, len(price.model)


def _yaml_quoted(name: str) -> str:
    """The name as a YAML text that is read back as it is."""
    return "'" + name.replace("'", "''") + "'"
