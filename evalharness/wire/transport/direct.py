"""The transport for plain http: its own connections on the event loop, parsed by llhttp.

Why there is one beside the HTTP libraries, with figures: docs/decisions/0012-direct.md. It speaks
HTTP/1.1 without TLS and without proxies, which is how servers nearby are asked: where a client that
adds 50 µs to each request and hands each piece of a stream from thread to thread is what would be
measured. TLS, HTTP/2 and proxies are left to a library.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote, urlsplit

from evalharness.config import LimitsConfig
from evalharness.records import ErrorKind
from evalharness.slices import Slices
from evalharness.wire.transport.exchange import (
    IDLE_SECONDS,
    Exchange,
    Recorder,
    outgoing,
)
from evalharness.wire.transport.http1 import Connection, Request

_HIGHEST_PORT = 65535


class Target(NamedTuple):
    """Where a URL leads (host, port), and how a request to it begins."""

    place: tuple[str, int]
    start: str


@lru_cache(64)
def target_of(url: str) -> Target:
    """Read a URL.

    Raises:
        ValueError: it is none, or not one of plain http.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"not a URL of plain http: {url}")
    host, port = parts.hostname, 80 if parts.port is None else parts.port
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"no port: {port}")
    name = host if ":" in host else host.encode("idna").decode()
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=-._~")
    query = f"?{quote(parts.query, safe='/?%:@!$&()*+,;=-._~')}" if parts.query else ""
    shown = f"[{name}]" if ":" in name else name
    if port != 80:
        shown += f":{port}"
    start = f"POST {path}{query} HTTP/1.1\r\nhost: {shown}\r\nuser-agent: evalharness\r\n"
    return Target((name, port), start)


class DirectTransport:
    """POSTs over plain http; see :class:`~.exchange.Transport`."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self._pools: dict[tuple[str, int], _Pool] = {}
        self._slices: Slices[Exchange] | None = None

    async def __aenter__(self) -> Self:
        self._slices = Slices()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in self._pools.values():
            pool.close()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Exchange:
        """Send one request and observe its response to the end."""
        if self._slices is None:
            raise RuntimeError("the transport is not open: use it as an async context manager")
        recorder = Recorder(self._limits)
        total_at = asyncio.get_running_loop().time() + self._limits.timeout_total_s
        try:
            target = target_of(url)
            request = _request(target, outgoing(url, headers, body), body, total_at)
        except ValueError as error:
            return recorder.done(ErrorKind.BAD_URL, str(error), reached=False)
        pool = self._pools.get(target.place)
        if pool is None:
            pool = self._pools[target.place] = _Pool(target.place, self._limits, self._slices)
        try:
            await pool.enter(total_at)
        except TimeoutError:
            message = "no connection became free"
            return recorder.done(ErrorKind.POOL_TIMEOUT, message, reached=False)
        try:
            return await self._through(pool, request, recorder)
        finally:
            pool.leave()

    async def _through(self, pool: _Pool, request: Request, recorder: Recorder) -> Exchange:
        connection = pool.idle()
        if connection is not None:
            exchange = await _observe(connection, request, recorder)
            if exchange.reached or exchange.failure is not ErrorKind.CONNECTION_LOST:
                return exchange
            # The connection was gone before the request was through: the server cannot have acted
            # on it, so it goes out once more, on a new connection.
            recorder = Recorder(self._limits)
        try:
            connection = await pool.connect(request.total_at)
        except TimeoutError:
            message = "connecting took too long"
            return recorder.done(ErrorKind.CONNECT_TIMEOUT, message, reached=False)
        except OSError as error:
            kind = ErrorKind.DNS if isinstance(error, socket.gaierror) else ErrorKind.CONNECT
            return recorder.done(kind, error.strerror or str(error), reached=False)
        except ValueError as error:
            return recorder.done(ErrorKind.BAD_URL, str(error), reached=False)
        return await _observe(connection, request, recorder)


async def _observe(connection: Connection, request: Request, recorder: Recorder) -> Exchange:
    waiter = connection.send(request, recorder)
    try:
        return await waiter
    except asyncio.CancelledError:
        connection.abandon(waiter)
        raise


def _request(target: Target, headers: dict[str, str], body: bytes, total_at: float) -> Request:
    """The bytes of a request.

    Raises:
        ValueError: a header that would not stay one.
    """
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not lines.count("\n") == lines.count("\r") == len(headers):
        raise ValueError("a header holds a line end")
    head = f"{target.start}{lines}content-length: {len(body)}\r\n\r\n"
    data = head.encode("latin-1") + body
    return Request(data, total_at, last=headers.get("connection") == "close")


class _Pool:
    """Connections to one place: never more than requests may be in flight."""

    def __init__(
        self, place: tuple[str, int], limits: LimitsConfig, slices: Slices[Exchange]
    ) -> None:
        self._place, self._limits, self._slices = place, limits, slices
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, total_at: float) -> None:
        """Wait until fewer requests than allowed are on their way.

        Raises:
            TimeoutError: that took too long.
        """
        if self._inside < self._limits.concurrency:
            self._inside += 1
            return
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(self._patience(total_at)):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave()  # the turn came in the same moment: it is another's now
            raise

    def leave(self) -> None:
        """A request is over: the first of those who wait is in its place."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._inside -= 1

    def idle(self) -> Connection | None:
        """A connection that waits for a request, the one used last; None where there is none."""
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if now - connection.idle_since < IDLE_SECONDS and connection.usable():
                return connection
            connection.close()
        return None

    async def connect(self, total_at: float) -> Connection:
        """A new connection.

        Raises:
            TimeoutError: that took too long.
            OSError: it was refused, or the name is not known.
            ValueError: no name server can be asked for such a name.
        """
        connection = Connection(self._limits, self._slices, self._idle.append, self._gone)
        self._open.add(connection)
        try:
            async with asyncio.timeout_at(self._patience(total_at)):
                await self._loop.create_connection(lambda: connection, *self._place)
        except BaseException:
            self._open.discard(connection)  # who never was connected is never told of an end
            raise
        return connection

    def close(self) -> None:
        """End all connections."""
        for connection in list(self._open):
            connection.close()

    def _patience(self, total_at: float) -> float:
        return min(total_at, self._loop.time() + self._limits.timeout_connect_s)

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
