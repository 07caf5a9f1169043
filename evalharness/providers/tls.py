"""The TLS keys of a provider, and what cannot work about them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evalharness.config.models import ProviderConfig
from evalharness.errors import ConfigError
from evalharness.http.certificates import SYSTEM_TRUST, TlsSettings, client_context

_KEYS = ("ca_file", "verify", "client_cert", "client_key")


def tls_settings(config: ProviderConfig) -> TlsSettings:
    """The certificates of a provider; relative paths are seen from the current folder."""
    return TlsSettings(
        ca_file=_absolute(config.ca_file),
        verify=config.verify,
        client_cert=_absolute(config.client_cert),
        client_key=_absolute(config.client_key),
    )


def check_tls(config: ProviderConfig, *, scheme: str, sends: bool) -> None:
    """Refuse keys that would be ignored and, where the command ``sends``, files without use.

    Args:
        config: a remote provider.
        scheme: of its base URL.
        sends: the command will send requests; without that no file need be there.

    Raises:
        ConfigError: naming the key, or the variable ``SSL_CERT_FILE``.
    """
    tls = tls_settings(config)
    if scheme != "https":
        for key in _KEYS:
            if getattr(tls, key) != getattr(SYSTEM_TRUST, key):
                raise ConfigError(
                    f"provider.{key} is for https, and provider.base_url is {config.base_url!r}",
                    hint=f"remove provider.{key}, or provider.base_url=https://…",
                )
        return
    if tls.ca_file is not None and not tls.verify:
        raise ConfigError(
            "provider.verify=false checks no certificate, so provider.ca_file has no meaning",
            hint="remove one of the two",
        )
    if tls.client_key is not None and tls.client_cert is None:
        raise ConfigError(
            "provider.client_key is the key of a certificate, and provider.client_cert is not set",
            hint="provider.client_cert=FILE",
        )
    if sends:
        client_context(tls)


def unverified(providers: Iterable[ProviderConfig]) -> list[str]:
    """Names of the providers whose certificates are not checked."""
    return sorted(provider.name for provider in providers if not provider.verify)


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())
