"""Where the logs are: address and key of each provider that a stored configuration names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from evalharness.config import strict_yaml
from evalharness.config.models import ProviderConfig
from evalharness.errors import ConfigError
from evalharness.http.redaction import Secret
from evalharness.providers import remote
from evalharness.reconcile.log import PATH


class LogSource(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a provider's log, and the key; None where the provider needs none."""

    provider: str
    url: str
    key: Secret | None


def find_log_sources(config_yaml: str | None, used: Sequence[str]) -> list[LogSource]:
    """The logs of a run's providers.

    Args:
        config_yaml: the configuration stored with the run; None for an import.
        used: names of the providers that its settings name.

    Raises:
        ConfigError: an import, or no provider of kind remote.
        ProviderError: the key's environment variable is not set, naming it.
    """
    if config_yaml is None:
        raise ConfigError("an imported run has no provider to ask", hint="evalharness report RUN")
    providers = {
        p.name: p for p in stored_providers(config_yaml) if p.kind == "remote" and p.name in used
    }
    if not providers:
        raise ConfigError(
            "no provider of this run keeps a log that can be asked",
            hint="reconcile reads /v2/logs of a remote provider, such as provider=aimlapi",
        )
    return [_log_source(provider) for provider in providers.values()]


def _log_source(provider: ProviderConfig) -> LogSource:
    base = remote.normalised_base_url(provider)
    head, _, version = base.rpartition("/")
    root = head if version[:1] == "v" and version[1:].isdigit() else base
    key = None if provider.api_key_env is None else remote.read_key(provider.api_key_env)
    return LogSource(provider=provider.name, url=root + PATH, key=key)


class _StoredProviders(msgspec.Struct):
    """The part of a stored configuration that names providers."""

    provider: ProviderConfig
    providers: dict[str, ProviderConfig] = {}


def stored_providers(config_yaml: str) -> Iterator[ProviderConfig]:
    """Every provider that a stored configuration names.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    for document in strict_yaml.split_documents(config_yaml):
        try:
            stored = msgspec.convert(strict_yaml.parse_yaml(document), _StoredProviders)
        except (msgspec.ValidationError, strict_yaml.YamlError) as error:
            raise ConfigError(f"the run's config.yaml cannot be read: {error}") from None
        yield stored.provider
        yield from stored.providers.values()


def stored_pricing(config_yaml: str) -> dict[str, Any]:
    """The ``pricing`` of a stored configuration, of its first job in a multirun."""
    first: Any = strict_yaml.parse_yaml(strict_yaml.split_documents(config_yaml)[0]) or {}
    pricing: dict[str, Any] = first.get("pricing") or {}
    return pricing
