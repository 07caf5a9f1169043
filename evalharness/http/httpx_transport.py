"""The httpx transport: for auth classes, proxying transports, ``MockTransport``, ASGI applications.

Slower than the others, with the same behaviour. httpx has no limit for a whole response, and its
read timeout begins anew at every byte. So an :class:`ExchangeTimer` limits the wait for the
response, and httpx itself connecting, writing and the wait for a free connection.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from types import TracebackType
from typing import Any, Self

import httpx

from evalharness.config.models import LimitsConfig
from evalharness.http.certificates import trusted_context
from evalharness.http.exchange import (
    IDLE_SECONDS,
    Exchange,
    ExchangeRecorder,
    ResponseRefusedError,
    request_headers,
)
from evalharness.http.timeouts import ExchangeTimer
from evalharness.records import ErrorKind

_REQUEST_SENT = "http11.send_request_body.complete"
_URL_ERRORS = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_HIGHEST_PORT = 65535
_CONNECTING = "connection.connect_tcp.started"


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
            verify=trusted_context(),
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
        fields = request_headers(url, headers, body, request_id)
        progress = _Progress(self._limits, traces_sending=self._transport is None)
        exchange = await self._send_once(self._client, url, fields, body, progress)
        if exchange.failure is ErrorKind.CONNECTION_LOST and progress.stale:
            # A kept-alive connection ended before the whole request was sent: the server cannot
            # have acted on it, so it is sent once more, on another connection.
            progress = _Progress(self._limits, traces_sending=True)
            exchange = await self._send_once(self._client, url, fields, body, progress)
        return exchange

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
            kind = _classify(error, answered=recorder.status is not None)
            message = str(error) or type(error).__name__
            return recorder.finish(kind, message, reached=progress.sent)
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
        async for chunk in response.aiter_raw():
            if chunk:
                recorder.record_chunk(chunk)
                timer.start_phase(ErrorKind.STALL_TIMEOUT, stall)


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
        if name == _REQUEST_SENT:
            self.sent = True
            self.timer.start_phase(ErrorKind.FIRST_BYTE_TIMEOUT, self._first_byte_s)
        elif name == _CONNECTING:
            self._new_connection = True


def _classify(error: Exception, *, answered: bool) -> ErrorKind:
    if isinstance(error, httpx.PoolTimeout):
        return ErrorKind.POOL_TIMEOUT
    if isinstance(error, httpx.ConnectTimeout):
        return ErrorKind.CONNECT_TIMEOUT
    if isinstance(error, httpx.WriteTimeout):
        return ErrorKind.WRITE_TIMEOUT
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return _connect_error_kind(error)
    if isinstance(error, _URL_ERRORS):
        return ErrorKind.BAD_URL
    if isinstance(error, httpx.RemoteProtocolError) and not answered:
        # Only the message says whether the connection ended or something else than HTTP came.
        ended = "disconnected" in str(error) or "closed" in str(error)
        return ErrorKind.CONNECTION_LOST if ended else ErrorKind.BAD_RESPONSE
    return ErrorKind.CONNECTION_LOST


def _connect_error_kind(error: BaseException) -> ErrorKind:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return ErrorKind.TLS
        if isinstance(cause, socket.gaierror):
            return ErrorKind.DNS
        cause = cause.__cause__ or cause.__context__
    return ErrorKind.CONNECT
