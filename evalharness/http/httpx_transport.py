"""The other transport: ``httpx.AsyncClient``, for whatever httpx can be given.

Auth classes, proxying transports, ``MockTransport``, in-process ASGI applications. Slower than the
others; the same behaviour. httpx has no limit for a whole response and its read timeout
begins anew at every byte, so waiting is limited by a :class:`Watch`; connecting, writing and
waiting for a free connection by httpx itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from types import TracebackType
from typing import Any, Self

import certifi
import httpx

from evalharness.config.models import LimitsConfig
from evalharness.http.exchange import IDLE_SECONDS, Exchange, Recorder, RefusedError, outgoing
from evalharness.http.timeouts import Watch
from evalharness.records import ErrorKind

_SENT = "http11.send_request_body.complete"
_UNUSABLE = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_HIGHEST_PORT = 65535
_FRESH = "connection.connect_tcp.started"


class HttpxTransport:
    """POSTs through httpx; see :class:`~.exchange.Transport`."""

    def __init__(
        self,
        limits: LimitsConfig,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        auth: httpx.Auth | None = None,
    ) -> None:
        self._limits = limits
        self._transport = transport
        self._auth = auth
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        limits = self._limits
        self._client = httpx.AsyncClient(
            transport=self._transport,
            auth=self._auth,
            headers={"user-agent": "evalharness"},
            follow_redirects=False,
            trust_env=limits.trust_env_proxies,
            verify=_trusted(),
            timeout=httpx.Timeout(
                None,
                connect=limits.timeout_connect_s,
                write=limits.timeout_write_s,
                pool=limits.timeout_connect_s,
            ),
            limits=httpx.Limits(
                max_connections=limits.concurrency,
                max_keepalive_connections=limits.concurrency,
                keepalive_expiry=IDLE_SECONDS,
            ),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, request_id: str | None = None
    ) -> Exchange:
        """Send one request and observe its response to the end."""
        if self._client is None:
            raise RuntimeError("the transport is not open: use it as an async context manager")
        sent = outgoing(url, headers, body, request_id)
        progress = _Progress(self._limits, watches_sending=self._transport is None)
        exchange = await self._once(self._client, url, sent, body, progress)
        if exchange.failure is ErrorKind.CONNECTION_LOST and progress.stale:
            # A kept-alive connection was gone before the request was through: the server cannot
            # have acted on it, so it goes out once more, on another connection.
            again = _Progress(self._limits, watches_sending=True)
            exchange = await self._once(self._client, url, sent, body, again)
        return exchange

    async def _once(
        self,
        client: httpx.AsyncClient,
        url: str,
        headers: dict[str, str],
        body: bytes,
        progress: _Progress,
    ) -> Exchange:
        recorder = Recorder(self._limits)
        watch = progress.watch
        try:
            with watch:
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
                    await self._read(response, recorder, watch)
                finally:
                    await response.aclose()
        except asyncio.CancelledError:
            if not watch.own():
                raise
            return recorder.done(watch.expired, "a time limit passed", reached=progress.sent)
        except RefusedError as error:
            return recorder.done(error.kind, error.message)
        except Exception as error:
            kind = _classify(error, answered=recorder.status is not None)
            message = str(error) or type(error).__name__
            return recorder.done(kind, message, reached=progress.sent)
        watch.own()  # a deadline that passed in the very moment of completion
        watch.check()
        return recorder.done()

    async def _read(self, response: httpx.Response, recorder: Recorder, watch: Watch) -> None:
        recorder.head(response.status_code, response.headers.multi_items())
        stall = self._limits.timeout_stall_s
        watch.phase(ErrorKind.STALL_TIMEOUT, stall)
        if response.is_stream_consumed:  # built whole by a transport that is no network
            recorder.chunk(response.content)
            return
        async for chunk in response.aiter_raw():
            if chunk:
                recorder.chunk(chunk)
                watch.phase(ErrorKind.STALL_TIMEOUT, stall)


def _trusted() -> ssl.SSLContext:
    """The system's certificate authorities (``SSL_CERT_FILE`` counts), as the default transport.

    httpx alone would use certifi's; they serve where the system has no store that OpenSSL finds.
    """
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())
    return context


class _Progress:
    """How far the request got, told by the connection's trace events."""

    def __init__(self, limits: LimitsConfig, *, watches_sending: bool) -> None:
        self._first_byte_s = limits.timeout_first_byte_s
        # A transport of someone else's tells nothing: then the request may have got through.
        self.sent = not watches_sending
        self._fresh = False
        if watches_sending:
            self.watch = Watch(limits.timeout_total_s)
        else:
            kind = ErrorKind.FIRST_BYTE_TIMEOUT
            self.watch = Watch(limits.timeout_total_s, kind, self._first_byte_s)

    @property
    def stale(self) -> bool:
        """Whether a kept-alive connection did not take the whole request."""
        return not self.sent and not self._fresh

    async def event(self, name: str, info: dict[str, Any]) -> None:
        """Take one trace event of the connection."""
        if name == _SENT:
            self.sent = True
            self.watch.phase(ErrorKind.FIRST_BYTE_TIMEOUT, self._first_byte_s)
        elif name == _FRESH:
            self._fresh = True


def _classify(error: Exception, *, answered: bool) -> ErrorKind:
    if isinstance(error, httpx.PoolTimeout):
        return ErrorKind.POOL_TIMEOUT
    if isinstance(error, httpx.ConnectTimeout):
        return ErrorKind.CONNECT_TIMEOUT
    if isinstance(error, httpx.WriteTimeout):
        return ErrorKind.WRITE_TIMEOUT
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return _connecting(error)
    if isinstance(error, _UNUSABLE):
        return ErrorKind.BAD_URL
    if isinstance(error, httpx.RemoteProtocolError) and not answered:
        # httpcore says in words whether the connection ended or something else than HTTP came.
        ended = "disconnected" in str(error) or "closed" in str(error)
        return ErrorKind.CONNECTION_LOST if ended else ErrorKind.BAD_RESPONSE
    return ErrorKind.CONNECTION_LOST


def _connecting(error: BaseException) -> ErrorKind:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return ErrorKind.TLS
        if isinstance(cause, socket.gaierror):
            return ErrorKind.DNS
        cause = cause.__cause__ or cause.__context__
    return ErrorKind.CONNECT
