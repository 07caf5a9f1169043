"""The configuration that is stored with a run, as far as stored runs are read by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, cast

import msgspec

from evalharness.config.models import APIS_WITHOUT_SEED, UsageRule
from evalharness.config.server import ServerConfig
from evalharness.config.strict_yaml import YamlError, parse_yaml, split_documents
from evalharness.config.validation import convert
from evalharness.errors import ConfigError

T = TypeVar("T")


class StoredConfig(msgspec.Struct):
    """The part of a stored configuration that is read again; the rest is ignored."""

    scoring: list[dict[str, Any]] = []
    answer: Any = None
    pricing: dict[str, Any] = {}
    provider: dict[str, Any] = {}
    providers: dict[str, dict[str, Any]] = {}
    load: dict[str, Any] | None = None
    dataset: dict[str, Any] = {}
    repeats: int | None = None

    def all_providers(self) -> list[dict[str, Any]]:
        """The provider, then those that a sweep may name."""
        return [self.provider, *self.providers.values()]

    def columns(self) -> dict[str, str]:
        """Map a meaning to the dataset's own name of that column, where it has one."""
        return self.dataset.get("columns") or {}

    def price_aliases(self) -> dict[str, str]:
        """Map a provider's name to the name that it is priced under, where the two differ."""
        sources = {
            p.get("name", ""): p.get("profile", {}).get("price_source")
            for p in self.all_providers()
        }
        return {name: source for name, source in sources.items() if source}

    def usage_rules(self) -> dict[str, UsageRule]:
        """Map a provider's name to the rule that its usage is read by, where it has one."""
        rules = {
            p.get("name", ""): p.get("profile", {}).get("usage_rule") for p in self.all_providers()
        }
        return {name: rule for name, rule in rules.items() if rule}

    def without_seed(self) -> dict[str, str]:
        """Map the name of a provider whose API has no seed to what messages call that API."""
        apis = {p.get("name", ""): p.get("protocol", "chat") for p in self.all_providers()}
        return {n: APIS_WITHOUT_SEED[api] for n, api in apis.items() if api in APIS_WITHOUT_SEED}

    def servers(self) -> dict[str, ServerConfig]:
        """Map a provider's name to what its server runs on."""
        return {
            p.get("name", ""): msgspec.convert(p.get("server") or {}, ServerConfig)
            for p in self.all_providers()
        }

    def batch_discounts(self) -> dict[str, float]:
        """Map a provider's name to the share that a batch costs less there, where it is known."""
        shares: dict[str, Any] = {}
        for provider in self.all_providers():
            batch: dict[str, Any] = provider.get("profile", {}).get("batch") or {}
            shares[provider.get("name", "")] = batch.get("discount")
        return {name: share for name, share in shares.items() if share is not None}


def parse_stored_configs(text: str) -> Iterator[StoredConfig]:
    """Parse the text of ``config.yaml``: a configuration for each job, when it is asked for.

    Raises:
        ConfigError: it cannot be read.
    """
    for document in split_documents(text):
        try:
            data: Any = parse_yaml(document) or {}
        except YamlError as error:
            raise unreadable_config(str(error)) from None
        if not isinstance(data, dict):
            raise unreadable_config("it holds no keys")
        yield convert_stored(data, StoredConfig)


def flat_values(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values below a key, each with its own key; an empty map has none."""
    if not isinstance(value, dict):
        yield key, value
        return
    for name, item in cast("dict[str, Any]", value).items():
        yield from flat_values(item, f"{key}.{name}" if key else str(name))


def convert_stored(data: Any, kind: type[T], where: str = "") -> T:
    """A part of a stored configuration as a struct; ``where`` is the key that holds it.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return convert(data, kind, where)
    except ConfigError as error:
        raise unreadable_config(error.message) from None


def unreadable_config(problem: str) -> ConfigError:
    """The error for a stored configuration that cannot be read."""
    return ConfigError(
        f"the run's config.yaml cannot be read: {problem}",
        hint="put a copy of it back if you have one; else the same evalharness run, once more, "
        "writes it anew",
    )
