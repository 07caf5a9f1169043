"""The default transport: own connections, and pyreqwest for the proxies of the environment."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from evalharness.config.models import LimitsConfig
from evalharness.http.certificates import SYSTEM_TRUST, TlsSettings
from evalharness.http.exchange import Exchange, Transport
from evalharness.http.native import NativeTransport
from evalharness.http.unix_url import is_unix_url


class AutoTransport(AsyncExitStack):
    """Chooses by URL; see :class:`~.exchange.Transport`. Closing it closes what it opened."""

    def __init__(self, limits: LimitsConfig, tls: TlsSettings = SYSTEM_TRUST) -> None:
        super().__init__()
        self._limits, self._tls = limits, tls
        # Opened at their first use: most runs need no library. Opening either awaits nothing, so
        # no second post can come between.
        self._native: Transport | None = None
        self._reqwest: Transport | None = None

    def post(
        self, url: str, headers: dict[str, str], body: bytes, request_id: str | None = None
    ) -> Coroutine[Any, Any, Exchange]:
        """Send one request and observe its response to the end."""
        native = not self._limits.trust_env_proxies or is_unix_url(url)
        transport = self._native if native else self._reqwest
        if transport is None:
            return self._first_post(url, headers, body, request_id, native=native)
        return transport.post(url, headers, body, request_id)

    async def _first_post(
        self,
        url: str,
        headers: dict[str, str],
        body: bytes,
        request_id: str | None,
        *,
        native: bool,
    ) -> Exchange:
        if native and self._native is None:
            self._native = await self.enter_async_context(NativeTransport(self._limits, self._tls))
        elif not native and self._reqwest is None:
            from evalharness.http.reqwest_transport import ReqwestTransport

            self._reqwest = await self.enter_async_context(
                ReqwestTransport(self._limits, self._tls)
            )
        return await self.post(url, headers, body, request_id)
