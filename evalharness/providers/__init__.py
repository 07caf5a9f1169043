"""Providers: remote services, the local model, the emulator for rehearsals.

Three functions take a :class:`~evalharness.config.models.ProviderConfig`: :func:`check_provider`
finds what cannot work, :func:`provider_identity` tells which endpoint it is, and
:func:`open_endpoint` opens it. None of them sends a chat request.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from evalharness.config.models import ProviderConfig
from evalharness.errors import ConfigError
from evalharness.http.redaction import Secret
from evalharness.providers import credentials, remote
from evalharness.providers import python as python_provider
from evalharness.providers.endpoint import Endpoint
from evalharness.providers.tls import tls_settings

__all__ = ["Endpoint", "check_provider", "open_endpoint", "provider_identity"]

# Keys that mean something to some kinds only. A key that would be ignored is refused.
_ONLY_FOR = {
    "base_url": ("remote",),
    "base_urls": ("remote",),
    "routing": ("remote",),
    "affinity": ("remote",),
    "protocol": ("remote", "emulator"),
    "api_key_env": ("remote", "emulator"),
    "headers": ("remote", "emulator"),
    "auth": ("remote",),
    "secret_headers": ("remote",),
    "query": ("remote",),
    "allow_plain_http": ("remote",),
    "ca_file": ("remote",),
    "verify": ("remote",),
    "client_cert": ("remote",),
    "client_key": ("remote",),
    "model_path": ("local",),
    "parallel": ("local",),
    "context_tokens": ("local",),
    "threads": ("local",),
    "emulator": ("emulator",),
    "call": ("python",),
}


def check_provider(config: ProviderConfig, *, sends: bool = True) -> None:
    """Find what can be found before anything is sent, started or fetched.

    Args:
        config: the provider.
        sends: the command will send requests; without that neither key nor llama.cpp is needed.

    Raises:
        ConfigError: a key of ``provider`` cannot be used as written.
        ProviderError: a key variable is missing, or llama.cpp is not installed.
    """
    _check_keys(config)
    if config.kind == "remote":
        remote.check(config, sends=sends)
    elif config.kind == "local":
        from evalharness.providers.local import lifecycle

        lifecycle.check(config, sends=sends)
    elif config.kind == "python":
        python_provider.check(config)
    else:
        _check_emulator(config, sends=sends)


def provider_identity(config: ProviderConfig) -> str:
    """Which endpoint a configuration means, without opening it (see :class:`Endpoint`).

    Raises:
        ConfigError: the base URL or the model file cannot be used as written.
    """
    if config.kind == "remote":
        return remote.identity(config) + _protocol_suffix(config)
    if config.kind == "local":
        from evalharness.providers.local import weights

        return weights.identity(config.model_path)
    if config.kind == "python":
        return python_provider.identity(config)
    return "emulator" + _protocol_suffix(config)


def _protocol_suffix(config: ProviderConfig) -> str:
    """Another protocol is another way of asking: its trials are not those of chat completions."""
    return "" if config.protocol == "chat" else f" ({config.protocol})"


@contextlib.asynccontextmanager
async def open_endpoint(
    config: ProviderConfig, *, say: Callable[[str], None]
) -> AsyncGenerator[Endpoint]:
    """Open an endpoint to send to, for the length of the ``async with`` block.

    The local model and the emulator run as a child process that ends with the block, or with this
    process. ``say`` gets messages for people: weights being fetched, a server that ended by itself.

    Raises:
        ConfigError: a key of ``provider`` cannot be used as written.
        ProviderError: no key, no weights, or a server that does not start.
    """
    check_provider(config)
    if config.kind == "remote":
        yield _endpoint(
            config,
            remote.base_urls(config)[0],
            base_urls=remote.base_urls(config),
            key=_key(config),
            auth=config.auth,
            secret_headers=credentials.read_secret_headers(config.secret_headers),
            query=config.query,
            allow_plain_http=config.allow_plain_http,
        )
    elif config.kind == "local":
        from evalharness.providers.local.lifecycle import local_server

        async with local_server(config, say=say) as (base_url, _):
            yield _endpoint(config, base_url, concurrency_hint=config.parallel)
    elif config.kind == "python":
        yield _endpoint(config, "", function=python_provider.function(config))
    else:
        from evalharness.process.child import child_server

        options = msgspec.json.encode(config.emulator).decode()
        arguments = ["--port", "0", "--exit-with-parent", "--config-json", options]
        async with child_server(
            "evalharness.emulator", arguments, what="the emulator", say=say
        ) as child:
            yield _endpoint(config, child.ready_message["base_url"], key=_key(config))


def _endpoint(config: ProviderConfig, base_url: str, **fields: Any) -> Endpoint:
    return Endpoint(
        name=config.name,
        base_url=base_url,
        identity=provider_identity(config),
        protocol=config.protocol,
        headers=config.headers,
        tls=tls_settings(config),
        profile=config.profile,
        **fields,
    )


def _check_keys(config: ProviderConfig) -> None:
    """Refuse keys that this kind of provider would ignore."""
    for field in msgspec.structs.fields(config):
        kinds = _ONLY_FOR.get(field.name, (config.kind,))
        default: Any = field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if config.kind not in kinds and getattr(config, field.name) != default:
            raise ConfigError(
                f"provider.{field.name} is for providers of kind {' or '.join(kinds)}, "
                f"and {config.name!r} is of kind {config.kind}",
                hint=f"remove provider.{field.name}",
            )


def _check_emulator(config: ProviderConfig, *, sends: bool) -> None:
    from evalharness.emulator import EmulatorOptions

    EmulatorOptions.from_mapping(config.emulator)
    credentials.check_headers(config.headers)
    if sends:
        _key(config)


def _key(config: ProviderConfig) -> Secret | None:
    return None if config.api_key_env is None else credentials.read_key(config.api_key_env)
