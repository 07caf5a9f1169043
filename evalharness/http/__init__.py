"""HTTP: one POST, observed, behind an interface that hides the HTTP libraries.

:func:`open_transport` gives an implementation of :class:`Transport`; all behave the same (the
contract tests run over each). Only modules in this package may import an HTTP library.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Literal

from evalharness.config.models import LimitsConfig
from evalharness.http.certificates import SYSTEM_TRUST, TlsSettings
from evalharness.http.exchange import Exchange, Transport

__all__ = ["Exchange", "TlsSettings", "Transport", "Transports", "open_transport"]


def open_transport(
    kind: Literal["auto", "reqwest", "httpx"],
    limits: LimitsConfig,
    tls: TlsSettings = SYSTEM_TRUST,
    *,
    httpx_transport: Any = None,
    httpx_auth: Any = None,
) -> Transport:
    """Create a transport; use it as an async context manager.

    Args:
        kind: ``auto`` (own connections; pyreqwest for proxies of the environment), ``reqwest``
            (pyreqwest, which also speaks HTTP/2) or ``httpx`` (``httpx.AsyncClient``).
        limits: time limits, ``concurrency`` (= connections), ``max_response_mib`` and
            ``trust_env_proxies``.
        tls: certificates, for every https URL that is posted to.
        httpx_transport: an ``httpx.AsyncBaseTransport`` to use below httpx, e.g. a MockTransport
            or a proxying one; only with ``httpx``.
        httpx_auth: an ``httpx.Auth``; only with ``httpx``.
    """
    if kind == "httpx":
        from evalharness.http.httpx_transport import HttpxTransport

        return HttpxTransport(limits, tls, transport=httpx_transport, auth=httpx_auth)
    if httpx_transport is not None or httpx_auth is not None:
        raise ValueError("httpx_transport and httpx_auth need kind='httpx'")
    if kind == "auto":
        from evalharness.http.auto import AutoTransport

        return AutoTransport(limits, tls)
    from evalharness.http.reqwest_transport import ReqwestTransport

    return ReqwestTransport(limits, tls)


class Transports:
    """The transports of a run: one for all endpoints with the same certificates.

    Args:
        kind, limits: as of :func:`open_transport`.
        stack: closes them.
    """

    def __init__(
        self,
        kind: Literal["auto", "reqwest", "httpx"],
        limits: LimitsConfig,
        stack: AsyncExitStack,
    ) -> None:
        self._kind: Literal["auto", "reqwest", "httpx"] = kind
        self._limits, self._stack = limits, stack
        self._open: dict[TlsSettings, Transport] = {}

    async def get(self, tls: TlsSettings) -> Transport:
        """The open transport for these certificates.

        Raises:
            ConfigError: a file of them cannot be used.
        """
        if tls not in self._open:
            transport = open_transport(self._kind, self._limits, tls)
            self._open[tls] = await self._stack.enter_async_context(transport)
        return self._open[tls]
