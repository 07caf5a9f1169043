"""A server on loopback that can say any bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evalharness.config.models import LimitsConfig

ANSWER = (
    b'{"id":"c1","object":"chat.completion","created":1700000000,"model":"qwen-plus",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}'
)


def response(
    body: bytes = ANSWER,
    *,
    status: str = "200 OK",
    head: bytes = b"",
    kind: str = "application/json",
) -> bytes:
    """A whole HTTP response with its length."""
    start = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
    return start.encode() + head + b"\r\n" + body


def chunked(*parts: bytes, kind: str = "text/event-stream", end: bool = True) -> list[bytes]:
    """A chunked HTTP response, one write a part."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
    pieces = [head.encode(), *(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part)]
    return [*pieces, b"0\r\n\r\n"] if end else pieces


@dataclass
class Peer:
    """One accepted connection, with what was read of its current request."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""
    body: bytes = b""

    async def request(self) -> bool:
        """Read one request; False at the end of the connection."""
        try:
            self.head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError):
            return False
        length = 0
        for line in self.head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        self.body = await self.reader.readexactly(length)
        return True

    async def say(self, *parts: bytes) -> None:
        """Write bytes, one network write a part as far as the system allows."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    def reset(self) -> None:
        """Close with a TCP reset."""
        linger = struct.pack("ii", 1, 0)
        raw = self.writer.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def wait_closed(self) -> None:
        """Hold the connection until the client leaves it."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass


Handler = Callable[[Peer], Awaitable[None]]


@dataclass
class RawServer:
    """Where the server listens, and what it saw."""

    url: str
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(
    handler: Handler,
    *,
    each_request: bool = True,
    tls: ssl.SSLContext | None = None,
    unix_socket: Path | None = None,
) -> AsyncIterator[RawServer]:
    """Run ``handler`` for every request (or once a connection), on loopback or a Unix socket."""
    open_peers: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_peers.add(task)
        server.connections += 1
        peer = Peer(reader, writer)
        try:
            if not each_request:
                await handler(peer)
                return
            while not writer.is_closing() and await peer.request():
                server.requests.append(peer.head)
                await handler(peer)
            writer.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            open_peers.discard(task)
            if not writer.transport.is_closing() or writer.transport.get_write_buffer_size():
                writer.transport.abort()

    if unix_socket is not None:
        listener = await asyncio.start_unix_server(accept, str(unix_socket))
        base = f"unix://{unix_socket}:"
    else:
        listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
        port = listener.sockets[0].getsockname()[1]
        base = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
    server = RawServer(f"{base}/v1/chat/completions")
    try:
        yield server
    finally:
        listener.close()
        for task in list(open_peers):
            task.cancel()
        await asyncio.gather(*open_peers, return_exceptions=True)


def limits(**changes: object) -> LimitsConfig:
    """Limits for tests: short where the test says so."""
    return LimitsConfig(**changes)  # type: ignore[arg-type]
