"""The default transport: direct over plain http, through pyreqwest for TLS and proxies."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from evalharness.config import LimitsConfig
from evalharness.wire.transport.direct import DirectTransport
from evalharness.wire.transport.exchange import Exchange, Transport


class AutoTransport:
    """Chooses by URL; see :class:`~.exchange.Transport`."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self._stack = AsyncExitStack()
        # Opened at their first use: loading a library for TLS takes longer than a first request.
        # Opening either waits for nothing, so no second post comes between.
        self._direct: Transport | None = None
        self._library: Transport | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Exchange:
        """Send one request and observe its response to the end."""
        if url.startswith("http://") and not self._limits.trust_env_proxies:
            if self._direct is None:
                self._direct = await self._stack.enter_async_context(DirectTransport(self._limits))
            return await self._direct.post(url, headers, body)
        if self._library is None:
            from evalharness.wire.transport.reqwest import ReqwestTransport

            self._library = await self._stack.enter_async_context(ReqwestTransport(self._limits))
        return await self._library.post(url, headers, body)
