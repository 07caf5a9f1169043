"""Where the logs are: address and key of each provider that a stored configuration names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from evalharness.config.models import ProviderConfig
from evalharness.config.stored_config import StoredConfig, convert_stored
from evalharness.errors import ConfigError
from evalharness.http.certificates import SYSTEM_TRUST, TlsSettings
from evalharness.http.redaction import Secret
from evalharness.providers import remote
from evalharness.providers.credentials import read_key
from evalharness.providers.tls import tls_settings
from evalharness.reconcile.log import PATH


class LogSource(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a provider's log, the key (None where it needs none), and certificates."""

    provider: str
    url: str
    key: Secret | None
    tls: TlsSettings = SYSTEM_TRUST


def find_log_sources(configs: Iterable[StoredConfig], used: Sequence[str]) -> list[LogSource]:
    """The logs of a run's providers.

    Args:
        configs: stored with the run; without a provider for an import.
        used: names of the providers that its settings name.

    Raises:
        ConfigError: an import, no provider of kind remote, or one that cannot be read.
        ProviderError: the key's environment variable is not set, naming it.
    """
    stored = [p for config in configs for p in config.all_providers() if p]
    if not stored:
        raise ConfigError("an imported run has no provider to ask", hint="evalharness report RUN")
    providers = {p.name: p for p in map(_provider, stored) if p.kind == "remote" and p.name in used}
    if not providers:
        raise ConfigError(
            "no provider of this run keeps a log that can be asked",
            hint="reconcile reads /v2/logs of a remote provider, such as provider=aimlapi",
        )
    return [_log_source(provider) for provider in providers.values()]


def _provider(stored: dict[str, Any]) -> ProviderConfig:
    return convert_stored(stored, ProviderConfig, "provider")


def _log_source(provider: ProviderConfig) -> LogSource:
    if provider.auth not in ("bearer", "none") or provider.secret_headers or provider.query:
        raise ConfigError(
            f"the log of provider {provider.name!r} can be read with a bearer key only",
            hint="without provider.auth=header:…, secret_headers and query",
        )
    base = remote.base_urls(provider)[0]
    head, _, version = base.rpartition("/")
    root = head if version[:1] == "v" and version[1:].isdigit() else base
    key = None if provider.api_key_env is None else read_key(provider.api_key_env)
    return LogSource(provider=provider.name, url=root + PATH, key=key, tls=tls_settings(provider))
