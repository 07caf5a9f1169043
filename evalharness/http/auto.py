"""The default transport: native over plain http, pyreqwest for TLS and proxies."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from evalharness.config.models import LimitsConfig
from evalharness.http.exchange import Exchange, Transport
from evalharness.http.native import NativeTransport


class AutoTransport(AsyncExitStack):
    """Chooses by URL; see :class:`~.exchange.Transport`. Closing it closes what it opened."""

    def __init__(self, limits: LimitsConfig) -> None:
        super().__init__()
        self._limits = limits
        # Opened at their first use: a run with a server nearby needs no library for TLS. Opening
        # either awaits nothing, so no second post can come between.
        self._native: Transport | None = None
        self._reqwest: Transport | None = None

    def post(
        self, url: str, headers: dict[str, str], body: bytes, request_id: str | None = None
    ) -> Coroutine[Any, Any, Exchange]:
        """Send one request and observe its response to the end."""
        native = url.startswith("http://") and not self._limits.trust_env_proxies
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
            self._native = await self.enter_async_context(NativeTransport(self._limits))
        elif not native and self._reqwest is None:
            from evalharness.http.reqwest_transport import ReqwestTransport

            self._reqwest = await self.enter_async_context(ReqwestTransport(self._limits))
        return await self.post(url, headers, body, request_id)
