"""The server's open connections, so that a fault can break one below HTTP.

ASGI has no way to reset a connection. The server's own protocol class is told of each transport as
it opens (asyncio's ``connection_made``); this subclass notes it by the peer's address, which ASGI
does pass on, and a fault then aborts exactly that transport.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Peer = tuple[str, int]

_FLUSH_POLL_S = 0.001


class Connections:
    """The transports that are open now, by the peer's address and port."""

    def __init__(self) -> None:
        self._open: dict[Peer, asyncio.Transport] = {}
        self.max_open = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, peer: Peer, transport: asyncio.Transport) -> None:
        """Add a connection."""
        self._open[peer] = transport
        self.max_open = max(self.max_open, len(self._open))

    def remove(self, peer: Peer, transport: asyncio.Transport) -> None:
        """Remove a connection, unless its address is already in use again."""
        if self._open.get(peer) is transport:
            del self._open[peer]

    def transport(self, scope: Any) -> asyncio.Transport | None:
        """The transport of a request, or None when it has closed."""
        client = scope.get("client")
        return None if client is None else self._open.get((client[0], client[1]))

    def protocol(self) -> type[asyncio.Protocol]:
        """The HTTP protocol class that reports its transports here."""
        connections = self

        class TrackedProtocol(HttpToolsProtocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client is not None:
                    connections.add(self.client, transport)

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    connections.remove(self.client, self.transport)
                super().connection_lost(exc)

        return TrackedProtocol


def reset_connection(transport: asyncio.Transport) -> None:
    """Abort the connection with a TCP reset: no lingering, nothing more is sent."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def wait_until_flushed(transport: asyncio.Transport, timeout_s: float = 5.0) -> None:
    """Wait until the kernel has all bytes written so far, for at most ``timeout_s``."""
    for _ in range(int(timeout_s / _FLUSH_POLL_S)):
        if transport.is_closing() or not transport.get_write_buffer_size():
            return
        await asyncio.sleep(_FLUSH_POLL_S)
