"""An open endpoint: everything a sender needs to know about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from evalharness.config.models import Profile, ProtocolName
from evalharness.http.certificates import SYSTEM_TRUST, TlsSettings
from evalharness.http.redaction import Secret


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that requests can be sent to.

    Attributes:
        name: name of the provider configuration.
        base_url: address including its version part (``/v1``), without a slash at the end.
        base_urls: all addresses that stand for it; empty where there is no choice.
        identity: names the endpoint in ids and comparisons: ``local:`` and 16 hex digits of the
            weights' SHA-256, ``emulator``, or the normalised base URL.
        protocol: that it speaks.
        key: the API key, or None when none is sent.
        auth: how the key is sent: ``bearer``, or ``header:NAME``.
        headers: further request headers.
        secret_headers: further ones whose values are secret.
        query: of every request's address.
        allow_plain_http: whether secrets may be sent unencrypted to another machine.
        tls: the certificates of its connections.
        profile: ranges, limits and the meaning of errors.
        function: called in place of a server; None: there is a server.
        concurrency_hint: requests it works on at once, or None when unknown; more than that wait
            inside the server.
    """

    name: str
    base_url: str
    identity: str
    base_urls: tuple[str, ...] = ()
    protocol: ProtocolName = "chat"
    key: Secret | None = None
    auth: str = "bearer"
    headers: dict[str, str] = {}
    secret_headers: dict[str, Secret] = {}
    query: dict[str, str] = {}
    allow_plain_http: bool = False
    tls: TlsSettings = SYSTEM_TRUST
    profile: Profile = Profile()
    function: Callable[..., Any] | None = None
    concurrency_hint: int | None = None
