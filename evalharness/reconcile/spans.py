"""Where and when to look: the log of each provider of a run, and the spans its requests fall in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from evalharness.config import strict_yaml
from evalharness.config.models import ProviderConfig
from evalharness.errors import ConfigError
from evalharness.http.redaction import Secret
from evalharness.providers import remote
from evalharness.reconcile.log import PATH

# Clocks differ, and a request is logged when it is done.
_BEFORE, _AFTER = timedelta(minutes=5), timedelta(hours=1)
_GAP = timedelta(days=1)  # a pause this long between requests is left out
_LONGEST = timedelta(days=90)  # the API takes 92


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's log: its address, and the key (None on this machine without one)."""

    provider: str
    url: str
    key: Secret | None


def sources(config_yaml: str | None, used: Sequence[str]) -> list[Source]:
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
    found = {
        p.name: p for p in stored_providers(config_yaml) if p.kind == "remote" and p.name in used
    }
    if not found:
        raise ConfigError(
            "no provider of this run keeps a log that can be asked",
            hint="reconcile reads /v2/logs of a remote provider, such as provider=aimlapi",
        )
    return [_source(provider) for provider in found.values()]


def _source(provider: ProviderConfig) -> Source:
    base = remote.normalised_url(provider)
    head, _, version = base.rpartition("/")
    root = head if version[:1] == "v" and version[1:].isdigit() else base
    key = None if provider.api_key_env is None else remote.read_key(provider.api_key_env)
    return Source(provider=provider.name, url=root + PATH, key=key)


class _Stored(msgspec.Struct):
    """The part of a stored configuration that names providers."""

    provider: ProviderConfig
    providers: dict[str, ProviderConfig] = {}


def stored_providers(config_yaml: str) -> Iterator[ProviderConfig]:
    """Every provider that a stored configuration names.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    for document in _documents(config_yaml):
        try:
            stored = msgspec.convert(strict_yaml.load(document), _Stored)
        except (msgspec.ValidationError, strict_yaml.YamlError) as error:
            raise ConfigError(f"the run's config.yaml cannot be read: {error}") from None
        yield stored.provider
        yield from stored.providers.values()


def _documents(text: str) -> Iterator[str]:
    """The YAML documents of a stored configuration: one, or one for each job of a multirun."""
    document: list[str] = []
    for line in text.splitlines():
        if line.startswith("---"):
            if any(part.strip() and not part.startswith("#") for part in document):
                yield "\n".join(document)
            document = []
        else:
            document.append(line)
    yield "\n".join(document)


def stored_pricing(config_yaml: str) -> dict[str, Any]:
    """The ``pricing`` of a stored configuration (of its first job)."""
    first: Any = strict_yaml.load(next(_documents(config_yaml))) or {}
    pricing: dict[str, Any] = first.get("pricing") or {}
    return pricing


def spans(moments_ns: Sequence[int]) -> list[tuple[datetime, datetime]]:
    """Time spans that hold these moments with room around, oldest first.

    Long pauses are left out, and no span is longer than the API takes.

    Args:
        moments_ns: when requests were admitted, nanoseconds since the epoch.
    """
    found: list[tuple[datetime, datetime]] = []
    for moment in sorted(datetime.fromtimestamp(ns / 1e9, UTC) for ns in moments_ns):
        start, end = moment - _BEFORE, moment + _AFTER
        if found and moment - found[-1][1] < _GAP and end - found[-1][0] <= _LONGEST:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def moments(attempts: Any) -> list[int]:
    """When attempts were admitted, from the attempts table."""
    import pyarrow as pa

    instants: list[int] = attempts["admitted_at"].cast(pa.int64()).to_pylist()
    return instants
