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

from evalharness.config.models import LimitsConfig
from evalharness.http.exchange import IDLE_SECONDS, REQUEST_ID, STREAMED, Exchange, Recorder, added
from evalharness.http.native_connection import Connection, Request
from evalharness.process.fair_wakeup import Slices
from evalharness.records import ErrorKind

_HIGHEST_PORT = 65535


# What the requests of an endpoint have in common: URL, headers, and whether they ask for a stream.
_Form = tuple[str, tuple[tuple[str, str], ...], bool]


class Target(NamedTuple):
    """Where a request leads (host, port), how it begins, and whether its connection ends then."""

    place: tuple[str, int]
    start: str
    last: bool = False


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
        self._targets: dict[_Form, Target] = {}  # as many as endpoints are asked
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

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, request_id: str | None = None
    ) -> Exchange:
        """Send one request and observe its response to the end."""
        if self._slices is None:
            raise RuntimeError("the transport is not open: use it as an async context manager")
        recorder = Recorder(self._limits)
        total_at = asyncio.get_running_loop().time() + self._limits.timeout_total_s
        try:
            form = url, tuple(headers.items()), STREAMED in body
            target = self._targets.get(form)
            if target is None:
                target = self._targets[form] = _target_with_headers(url, headers, streamed=form[2])
            request = Request(_bytes(target, request_id, body), total_at, target.last)
        except ValueError as error:
            return recorder.done(ErrorKind.BAD_URL, str(error), reached=False)
        pool = self._pools.get(target.place)
        if pool is None:
            pool = self._pools[target.place] = _Pool(target.place, self._limits, self._slices)
        if not pool.enter():
            try:
                await pool.wait(total_at)
            except TimeoutError:
                message = "no connection became free"
                return recorder.done(ErrorKind.POOL_TIMEOUT, message, reached=False)
        try:
            connection = pool.idle()
            if connection is not None:
                exchange = await _observe(connection, request, recorder)
                if exchange.reached or exchange.failure is not ErrorKind.CONNECTION_LOST:
                    return exchange
                # The connection was gone before the request was through: the server cannot have
                # acted on it, so it goes out once more, on a new connection.
                recorder = Recorder(self._limits)
            return await self._newly_connected(pool, request, recorder)
        finally:
            pool.leave()

    async def _newly_connected(self, pool: _Pool, request: Request, recorder: Recorder) -> Exchange:
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


def _target_with_headers(url: str, headers: dict[str, str], *, streamed: bool) -> Target:
    """Where a URL leads, and all of a request's head that is the same in each.

    Raises:
        ValueError: a URL that is none, or a header that would not stay one.
    """
    target, sent = target_of(url), {**headers, **added(url, streamed=streamed)}
    lines = "".join([f"{name}: {value}\r\n" for name, value in sent.items()])
    if not lines.count("\n") == lines.count("\r") == len(sent):
        raise ValueError("a header holds a line end")
    last = sent.get("connection") == "close"
    return Target(target.place, target.start + lines, last)


def _bytes(target: Target, request_id: str | None, body: bytes) -> bytes:
    """A request as it is sent.

    Raises:
        ValueError: a request id that is no header's value.
    """
    own = ""
    if request_id is not None:
        if not request_id.isprintable():
            raise ValueError("a request id holds a line end")
        own = f"{REQUEST_ID}: {request_id}\r\n"
    return f"{target.start}{own}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body


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

    def enter(self) -> bool:
        """Whether fewer requests than allowed are on their way; then there is one more."""
        if self._inside >= self._limits.concurrency:
            return False
        self._inside += 1
        return True

    async def wait(self, total_at: float) -> None:
        """Wait for what :meth:`enter` did not find.

        Raises:
            TimeoutError: that took too long.
        """
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
