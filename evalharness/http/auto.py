"""The default transport: direct over plain http, through pyreqwest for TLS and proxies."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from evalharness.config.models import LimitsConfig
from evalharness.http.exchange import Exchange, Transport
from evalharness.http.native import DirectTransport


class AutoTransport(AsyncExitStack):
    """Chooses by URL; see :class:`~.exchange.Transport`. What it opened ends with it."""

    def __init__(self, limits: LimitsConfig) -> None:
        super().__init__()
        self._limits = limits
        # Opened at their first use: a run with a server nearby needs no library for TLS. Opening
        # either waits for nothing, so no second post comes between.
        self._direct: Transport | None = None
        self._library: Transport | None = None

    def post(
        self, url: str, headers: dict[str, str], body: bytes, request_id: str | None = None
    ) -> Coroutine[Any, Any, Exchange]:
        """Send one request and observe its response to the end."""
        direct = url.startswith("http://") and not self._limits.trust_env_proxies
        transport = self._direct if direct else self._library
        if transport is None:
            return self._first_post(url, headers, body, request_id, direct=direct)
        return transport.post(url, headers, body, request_id)

    async def _first_post(
        self,
        url: str,
        headers: dict[str, str],
        body: bytes,
        request_id: str | None,
        *,
        direct: bool,
    ) -> Exchange:
        if direct and self._direct is None:
            self._direct = await self.enter_async_context(DirectTransport(self._limits))
        elif not direct and self._library is None:
            from evalharness.http.reqwest_transport import ReqwestTransport

            self._library = await self.enter_async_context(ReqwestTransport(self._limits))
        return await self.post(url, headers, body, request_id)
