"""The httpx transport: for auth classes, proxying transports, ``MockTransport``, ASGI applications.

Slower than the others, with the same behaviour. httpx has no limit for a whole response, and its
read timeout begins anew at every byte. So an :class:`ExchangeTimer` limits the wait for the
response, and httpx itself connecting, writing and the wait for a free connection.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from enum import Enum, auto
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from operator import attrgetter
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from urllib.request import Request

import httpx

from evalharness.config.models import LimitsConfig
from evalharness.http.certificates import (
    NO_CLOSE_NOTIFY,
    SYSTEM_TRUST,
    TlsSettings,
    client_context,
    refuses_client,
    tls_failure,
)
from evalharness.http.exchange import (
    IDLE_SECONDS,
    Exchange,
    ExchangeRecorder,
    ResponseRefusedError,
    request_headers,
)
from evalharness.http.timeouts import ExchangeTimer
from evalharness.http.unix_url import is_unix_url, split_unix_url
from evalharness.records import ErrorKind

E = TypeVar("E", bound=BaseException)

REQUEST_SENT = "http11.send_request_body.complete"
_URL_ERRORS = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_HIGHEST_PORT = 65535
_CONNECTING = ("connection.connect_tcp.started", "connection.connect_unix_socket.started")
# Where the parser of a connection is, seen from a response. No public name leads there; should it
# move, no connection would be kept, and the tests would say so.
_PARSER = attrgetter("_stream._httpcore_stream._stream._connection._h11_state")


class _NoCookies(DefaultCookiePolicy):
    """Keeps none: no request may depend on the answers before it."""

    def set_ok(self, cookie: Cookie, request: Request) -> bool:
        return False


class HttpxTransport:
    """POSTs through httpx; see :class:`~.exchange.Transport`."""

    def __init__(
        self,
        limits: LimitsConfig,
        tls: TlsSettings = SYSTEM_TRUST,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        auth: httpx.Auth | None = None,
    ) -> None:
        self._limits, self._tls = limits, tls
        self._transport = transport
        self._auth = auth
        self._client: httpx.AsyncClient | None = None
        self._unix_clients: dict[str, httpx.AsyncClient] = {}  # by the path of the socket

    async def __aenter__(self) -> Self:
        self._client = self._new_client()
        return self

    def _new_client(self, unix_socket: str | None = None) -> httpx.AsyncClient:
        limits, transport = self._limits, self._transport
        pool = httpx.Limits(
            max_connections=limits.concurrency,
            max_keepalive_connections=limits.concurrency,
            keepalive_expiry=IDLE_SECONDS,
        )
        if unix_socket is not None and transport is None:
            transport = httpx.AsyncHTTPTransport(uds=unix_socket, limits=pool)
        return httpx.AsyncClient(
            transport=transport,
            auth=self._auth,
            cookies=CookieJar(_NoCookies()),
            headers={"user-agent": "evalharness"},
            follow_redirects=False,
            trust_env=limits.trust_env_proxies,
            verify=client_context(self._tls),
            timeout=httpx.Timeout(
                None,
                connect=limits.timeout_connect_s,
                write=limits.timeout_write_s,
                pool=limits.timeout_connect_s,
            ),
            limits=pool,
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in (self._client, *self._unix_clients.values()):
            if client is not None:
                await client.aclose()

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, request_id: str | None = None
    ) -> Exchange:
        """Send one request and observe its response to the end."""
        if self._client is None:
            raise RuntimeError("the transport is not open: use it as an async context manager")
        fields = request_headers(url, headers, body, request_id)
        client = self._client
        if is_unix_url(url):
            try:
                client, url = self._unix_client(url)
            except ValueError as error:
                recorder = ExchangeRecorder(self._limits)
                return recorder.finish(ErrorKind.BAD_URL, f"the URL {error}", reached=False)
        progress = _Progress(self._limits, traces_sending=self._transport is None)
        exchange = await self._send_once(client, url, fields, body, progress)
        if exchange.failure is ErrorKind.CONNECTION_LOST and progress.stale:
            # A kept-alive connection ended before the whole request was sent: the server cannot
            # have acted on it, so it is sent once more, on another connection.
            progress = _Progress(self._limits, traces_sending=True)
            exchange = await self._send_once(client, url, fields, body, progress)
        return exchange

    def _unix_client(self, url: str) -> tuple[httpx.AsyncClient, str]:
        """The client of a socket, and the URL that it is asked for."""
        socket_path, path = split_unix_url(url)
        if socket_path not in self._unix_clients:
            self._unix_clients[socket_path] = self._new_client(socket_path)
        return self._unix_clients[socket_path], f"http://localhost{path}"

    async def _send_once(
        self,
        client: httpx.AsyncClient,
        url: str,
        headers: dict[str, str],
        body: bytes,
        progress: _Progress,
    ) -> Exchange:
        recorder = ExchangeRecorder(self._limits)
        timer = progress.timer
        try:
            with timer:
                if (httpx.URL(url).port or 0) > _HIGHEST_PORT:
                    raise httpx.InvalidURL(f"invalid port in {url}")
                request = client.build_request(
                    "POST",
                    url,
                    headers=headers,
                    content=body,
                    extensions={"trace": progress.event},
                )
                response = await client.send(request, stream=True)
                try:
                    await self._read(response, recorder, timer)
                finally:
                    await response.aclose()
        except asyncio.CancelledError:
            if not timer.absorb_cancellation():
                raise
            return recorder.finish(timer.expired, "a time limit passed", reached=progress.sent)
        except ResponseRefusedError as error:
            return recorder.finish(error.kind, error.message)
        except Exception as error:
            return failed_exchange(recorder, error, sent=progress.sent)
        timer.absorb_cancellation()  # a deadline that passed at the moment of completion
        timer.raise_if_cancelled()
        return recorder.finish()

    async def _read(
        self, response: httpx.Response, recorder: ExchangeRecorder, timer: ExchangeTimer
    ) -> None:
        recorder.record_head(response.status_code, response.headers.multi_items())
        stall = self._limits.timeout_stall_s
        timer.start_phase(ErrorKind.STALL_TIMEOUT, stall)
        if response.is_stream_consumed:  # made whole by a transport without a network
            recorder.record_chunk(response.content)
            return
        # Not `aiter_raw`, which gives the connection back before it can be looked at.
        async for chunk in cast("httpx.AsyncByteStream", response.stream):
            if chunk:
                recorder.record_chunk(chunk)
                timer.start_phase(ErrorKind.STALL_TIMEOUT, stall)
        end = _end_of_tls(response)
        if end is _End.ODD and _lasts_until_close(response.headers):
            raise httpx.ReadError(NO_CLOSE_NOTIFY)
        if end is not _End.NOTHING or _said_more(response):
            await response.extensions["network_stream"].aclose()


class _Progress:
    """How far the request got, by the connection's trace events."""

    def __init__(self, limits: LimitsConfig, *, traces_sending: bool) -> None:
        self._first_byte_s = limits.timeout_first_byte_s
        # A foreign transport may send no events: then the request may have got through.
        self.sent = not traces_sending
        self._new_connection = False
        if traces_sending:
            self.timer = ExchangeTimer(limits.timeout_total_s)
        else:
            kind = ErrorKind.FIRST_BYTE_TIMEOUT
            self.timer = ExchangeTimer(limits.timeout_total_s, kind, self._first_byte_s)

    @property
    def stale(self) -> bool:
        """Whether a kept-alive connection did not take the whole request."""
        return not self.sent and not self._new_connection

    async def event(self, name: str, info: dict[str, Any]) -> None:
        """Take one trace event of the connection."""
        if name == REQUEST_SENT:
            self.sent = True
            self.timer.start_phase(ErrorKind.FIRST_BYTE_TIMEOUT, self._first_byte_s)
        elif name in _CONNECTING:
            self._new_connection = True


class _End(Enum):
    """What TLS knows behind a response that has been read."""

    NOTHING = auto()  # also without TLS
    SAID = auto()  # the server has ended the connection in form
    ODD = auto()  # further bytes, or an end without that form


def _end_of_tls(response: httpx.Response) -> _End:
    stream = response.extensions.get("network_stream")
    tls = None if stream is None else stream.get_extra_info("ssl_object")
    if tls is None:
        return _End.NOTHING
    try:
        return _End.ODD if tls.read(1) else _End.SAID
    except ssl.SSLWantReadError:
        return _End.NOTHING
    except ssl.SSLZeroReturnError:
        return _End.SAID
    except ssl.SSLError:
        return _End.ODD


def _lasts_until_close(headers: httpx.Headers) -> bool:
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    return not chunked and "content-length" not in headers


def _said_more(response: httpx.Response) -> bool:
    """Whether more has been read than the response: it would be taken for the next answer."""
    if "network_stream" not in response.extensions:
        return False
    try:
        return bool(_PARSER(response.stream).trailing_data[0])
    except AttributeError:
        return True


def failed_exchange(recorder: ExchangeRecorder, error: Exception, *, sent: bool) -> Exchange:
    """The Exchange for an error of the library."""
    answered = recorder.status is not None
    tls = None if answered else _cause(error, ssl.SSLError)
    if tls is not None and (isinstance(error, httpx.ConnectError) or refuses_client(tls)):
        return recorder.finish(*tls_failure(tls), reached=False)
    kind = _classify(error, answered=answered)
    return recorder.finish(kind, str(error) or type(error).__name__, reached=sent)


def _classify(error: Exception, *, answered: bool) -> ErrorKind:
    if isinstance(error, httpx.PoolTimeout):
        return ErrorKind.POOL_TIMEOUT
    if isinstance(error, httpx.ConnectTimeout):
        return ErrorKind.CONNECT_TIMEOUT
    if isinstance(error, httpx.WriteTimeout):
        return ErrorKind.WRITE_TIMEOUT
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        unknown_name = _cause(error, socket.gaierror) is not None
        return ErrorKind.DNS if unknown_name else ErrorKind.CONNECT
    if isinstance(error, _URL_ERRORS):
        return ErrorKind.BAD_URL
    if isinstance(error, httpx.RemoteProtocolError) and not answered:
        # Only the message says whether the connection ended or something else than HTTP came.
        ended = "disconnected" in str(error) or "closed" in str(error)
        return ErrorKind.CONNECTION_LOST if ended else ErrorKind.BAD_RESPONSE
    return ErrorKind.CONNECTION_LOST


def _cause(error: BaseException | None, kind: type[E]) -> E | None:
    """The first error of a kind among an error and its causes."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
