"""The transport for plain http: its own connections on the event loop, parsed by llhttp.

Why it exists beside the HTTP libraries, with figures: docs/decisions/0012-direct.md. It speaks
HTTP/1.1 without TLS and proxies, as used for servers nearby: there a client that adds 50 µs to each
request and passes each piece of a stream from thread to thread would be what is measured. TLS,
HTTP/2 and proxies are left to a library.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote, urlsplit

from evalharness.config.models import LimitsConfig
from evalharness.http.exchange import (
    IDLE_SECONDS,
    REQUEST_ID_HEADER,
    STREAM_FLAG,
    Exchange,
    ExchangeRecorder,
    common_headers,
)
from evalharness.http.native_connection import Connection, EncodedRequest
from evalharness.process.fair_wakeup import BatchedWakeups
from evalharness.records import ErrorKind

_HIGHEST_PORT = 65535


# What all requests to an endpoint share: URL, headers, and whether they ask for a stream.
_TargetKey = tuple[str, tuple[tuple[str, str], ...], bool]


class RequestTarget(NamedTuple):
    """Address (host, port) and head of a request, and whether its connection closes after it."""

    address: tuple[str, int]
    head: str
    closes: bool = False


@lru_cache(64)
def parse_target(url: str) -> RequestTarget:
    """Read a URL.

    Raises:
        ValueError: not a URL of plain http.
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
    authority = f"[{name}]" if ":" in name else name
    if port != 80:
        authority += f":{port}"
    start = f"POST {path}{query} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: evalharness\r\n"
    return RequestTarget((name, port), start)


class NativeTransport:
    """POSTs over plain http; see :class:`~.exchange.Transport`."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self._pools: dict[tuple[str, int], _Pool] = {}
        self._targets: dict[_TargetKey, RequestTarget] = {}  # as many as endpoints are used
        self._wakeups: BatchedWakeups[Exchange] | None = None

    async def __aenter__(self) -> Self:
        self._wakeups = BatchedWakeups()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in self._pools.values():
            pool.close()

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, request_id: str | None = None
    ) -> Exchange:
        """Send one request and observe its response to the end."""
        if self._wakeups is None:
            raise RuntimeError("the transport is not open: use it as an async context manager")
        recorder = ExchangeRecorder(self._limits)
        total_at = asyncio.get_running_loop().time() + self._limits.timeout_total_s
        try:
            key = url, tuple(headers.items()), STREAM_FLAG in body
            target = self._targets.get(key)
            if target is None:
                target = self._targets[key] = _target_with_headers(url, headers, streamed=key[2])
            request = EncodedRequest(_encode(target, request_id, body), total_at, target.closes)
        except ValueError as error:
            return recorder.finish(ErrorKind.BAD_URL, str(error), reached=False)
        pool = self._pools.get(target.address)
        if pool is None:
            pool = self._pools[target.address] = _Pool(target.address, self._limits, self._wakeups)
        if not pool.try_enter():
            try:
                await pool.wait(total_at)
            except TimeoutError:
                message = "no connection became free"
                return recorder.finish(ErrorKind.POOL_TIMEOUT, message, reached=False)
        try:
            connection = pool.take_idle()
            if connection is not None:
                exchange = await _observe(connection, request, recorder)
                if exchange.reached or exchange.failure is not ErrorKind.CONNECTION_LOST:
                    return exchange
                # The connection ended before the whole request was sent: the server cannot have
                # acted on it, so it is sent once more, on a new connection.
                recorder = ExchangeRecorder(self._limits)
            return await self._send_on_new_connection(pool, request, recorder)
        finally:
            pool.leave()

    async def _send_on_new_connection(
        self, pool: _Pool, request: EncodedRequest, recorder: ExchangeRecorder
    ) -> Exchange:
        try:
            connection = await pool.connect(request.total_at)
        except TimeoutError:
            message = "connecting took too long"
            return recorder.finish(ErrorKind.CONNECT_TIMEOUT, message, reached=False)
        except OSError as error:
            kind = ErrorKind.DNS if isinstance(error, socket.gaierror) else ErrorKind.CONNECT
            return recorder.finish(kind, error.strerror or str(error), reached=False)
        except ValueError as error:
            return recorder.finish(ErrorKind.BAD_URL, str(error), reached=False)
        return await _observe(connection, request, recorder)


async def _observe(
    connection: Connection, request: EncodedRequest, recorder: ExchangeRecorder
) -> Exchange:
    waiter = connection.send(request, recorder)
    try:
        return await waiter
    except asyncio.CancelledError:
        connection.abandon(waiter)
        raise


def _target_with_headers(url: str, headers: dict[str, str], *, streamed: bool) -> RequestTarget:
    """The target of a URL, with all of the head that is the same in each request.

    Raises:
        ValueError: not a URL, or a header that holds a line end.
    """
    target, fields = parse_target(url), {**headers, **common_headers(url, streamed=streamed)}
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    if not lines.count("\n") == lines.count("\r") == len(fields):
        raise ValueError("a header holds a line end")
    closes = fields.get("connection") == "close"
    return RequestTarget(target.address, target.head + lines, closes)


def _encode(target: RequestTarget, request_id: str | None, body: bytes) -> bytes:
    """The bytes of a request.

    Raises:
        ValueError: the request id is no valid header value.
    """
    id_line = ""
    if request_id is not None:
        if not request_id.isprintable():
            raise ValueError("a request id holds a line end")
        id_line = f"{REQUEST_ID_HEADER}: {request_id}\r\n"
    return f"{target.head}{id_line}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body


class _Pool:
    """Connections to one address: never more than requests may be in flight."""

    def __init__(
        self, address: tuple[str, int], limits: LimitsConfig, wakeups: BatchedWakeups[Exchange]
    ) -> None:
        self._address, self._limits, self._wakeups = address, limits, wakeups
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def try_enter(self) -> bool:
        """Count one more active request; False where as many as allowed are active."""
        if self._active >= self._limits.concurrency:
            return False
        self._active += 1
        return True

    async def wait(self, total_at: float) -> None:
        """Wait until :meth:`try_enter` would succeed, and enter.

        Raises:
            TimeoutError: that took too long.
        """
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(self._connect_deadline(total_at)):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was resolved at the same moment: pass it on
            raise

    def leave(self) -> None:
        """A request has ended: the first waiter takes its place."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._active -= 1

    def take_idle(self) -> Connection | None:
        """Take the idle connection that was used last; None where there is none."""
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
            ValueError: a host name that cannot be looked up.
        """
        connection = Connection(self._limits, self._wakeups, self._idle.append, self._remove)
        self._open.add(connection)
        try:
            async with asyncio.timeout_at(self._connect_deadline(total_at)):
                await self._loop.create_connection(lambda: connection, *self._address)
        except BaseException:
            # `connection_lost` is only called for a connection that was made.
            self._open.discard(connection)
            raise
        return connection

    def close(self) -> None:
        """End all connections."""
        for connection in list(self._open):
            connection.close()

    def _connect_deadline(self, total_at: float) -> float:
        return min(total_at, self._loop.time() + self._limits.timeout_connect_s)

    def _remove(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
