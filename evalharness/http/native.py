"""The harness's own connections: http, https and Unix sockets, on the event loop.

Why they exist beside the HTTP libraries, with figures: docs/decisions/0012-direct.md. They speak
HTTP/1.1, parsed by llhttp: a client that adds 50 µs to each request and passes each piece of a
stream from thread to thread would be what is measured. HTTP/2 and proxies are left to a library.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import cached_property, lru_cache
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote, urlsplit

from evalharness.config.models import LimitsConfig
from evalharness.errors import ConfigError
from evalharness.http.certificates import (
    SYSTEM_TRUST,
    TlsSettings,
    client_context,
    tls_failure,
)
from evalharness.http.encoded_request import EncodedRequest
from evalharness.http.exchange import (
    REQUEST_ID_HEADER,
    STREAM_FLAG,
    Exchange,
    ExchangeRecorder,
    common_headers,
)
from evalharness.http.native_connection import Connection
from evalharness.http.native_pool import Place, Pool
from evalharness.http.unix_url import is_unix_url, split_unix_url
from evalharness.process.fair_wakeup import BatchedWakeups
from evalharness.records import ErrorKind

_HIGHEST_PORT = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"
_QUERY_CHARACTERS = "/?%:@!$&()*+,;=-._~"


# What all requests to an endpoint share: URL, headers, and whether they ask for a stream.
_TargetKey = tuple[str, tuple[tuple[str, str], ...], bool]


class RequestTarget(NamedTuple):
    """Where a request goes, its head, and whether its connection closes after it."""

    place: Place
    head: str
    closes: bool = False


@lru_cache(64)
def parse_target(url: str) -> RequestTarget:
    """Read a URL.

    Raises:
        ValueError: not a URL that can be posted to.
    """
    if is_unix_url(url):
        socket_path, path = split_unix_url(url)
        path, _, query = path.partition("?")
        return RequestTarget(Place("unix", socket_path, 0), _head_start("localhost", path, query))
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"not an http, https or unix URL: {url}")
    default_port = _DEFAULT_PORTS[parts.scheme]
    host, port = parts.hostname, default_port if parts.port is None else parts.port
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"no port: {port}")
    if not host.isprintable():
        raise ValueError("a host name with control characters")
    name = host if ":" in host else host.encode("idna").decode()
    authority = f"[{name}]" if ":" in name else name
    if port != default_port:
        authority += f":{port}"
    head = _head_start(authority, parts.path, parts.query)
    return RequestTarget(Place(parts.scheme, name, port), head)


def _head_start(authority: str, path: str, query: str) -> str:
    """The first lines of a head, the same for every request to a URL."""
    path = quote(path or "/", safe=_PATH_CHARACTERS)
    query = f"?{quote(query, safe=_QUERY_CHARACTERS)}" if query else ""
    return f"POST {path}{query} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: evalharness\r\n"


class NativeTransport:
    """POSTs over connections of its own; see :class:`~.exchange.Transport`."""

    def __init__(self, limits: LimitsConfig, tls: TlsSettings = SYSTEM_TRUST) -> None:
        self._limits, self._tls = limits, tls
        self._pools: dict[Place, Pool] = {}
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
        pool = self._pools.get(target.place)
        if pool is None:
            pool = self._pools[target.place] = Pool(
                target.place, self._limits, self._wakeups, lambda: self._context
            )
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
        self, pool: Pool, request: EncodedRequest, recorder: ExchangeRecorder
    ) -> Exchange:
        try:
            connection = await pool.connect(request.total_at)
        except TimeoutError:
            message = "connecting took too long"
            return recorder.finish(ErrorKind.CONNECT_TIMEOUT, message, reached=False)
        except ssl.SSLError as error:
            kind, message = tls_failure(error)
            return recorder.finish(kind, message, reached=False)
        except ConfigError as error:
            return recorder.finish(ErrorKind.TLS, error.message, reached=False)
        except OSError as error:
            kind = ErrorKind.DNS if isinstance(error, socket.gaierror) else ErrorKind.CONNECT
            return recorder.finish(kind, error.strerror or str(error), reached=False)
        except ValueError as error:
            return recorder.finish(ErrorKind.BAD_URL, str(error), reached=False)
        return await _observe(connection, request, recorder)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        # Reading a hundred authorities takes tens of milliseconds: only where https is spoken.
        return client_context(self._tls)


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
    return RequestTarget(target.place, target.head + lines, closes)


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
