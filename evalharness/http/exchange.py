"""The observation of one POST, its recorder, and the transport protocol."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from evalharness.config.models import LimitsConfig
from evalharness.http.unix_url import SCHEME
from evalharness.process import session_clock
from evalharness.records import ErrorKind

IDENTITY_ENCODINGS = frozenset({"", "identity"})
# Idle connections are dropped before servers drop them (5 s is a usual keep-alive: llama.cpp,
# uvicorn, Node): a request sent into a connection that is just being closed stays in doubt.
IDLE_SECONDS = 4.0
# How a request body (canonical JSON) asks for a stream.
STREAM_FLAG = b'"stream":true'
# The header that names a request in the server's logs.
REQUEST_ID_HEADER = "x-client-request-id"


def request_headers(
    url: str, headers: dict[str, str], body: bytes, request_id: str | None
) -> dict[str, str]:
    """The headers as sent; ``request_id`` is the value of :data:`REQUEST_ID_HEADER`."""
    fields = {**headers, **common_headers(url, streamed=STREAM_FLAG in body)}
    if request_id is not None:
        fields[REQUEST_ID_HEADER] = request_id
    return fields


def common_headers(url: str, *, streamed: bool) -> dict[str, str]:
    """Headers of every request: only ``identity`` is accepted, streams without TLS end alone.

    llama.cpp's server closes the connection after every streamed response without announcing it; a
    request that reuses the connection at that moment is lost, and stays in doubt. No TLS means a
    server nearby, where a new connection costs one short round trip and no TLS, so there a
    streamed request asks the server to close its connection.
    """
    if streamed and url.startswith(("http://", SCHEME)):
        return {"accept-encoding": "identity", "connection": "close"}
    return {"accept-encoding": "identity"}


class Exchange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything observed of one POST.

    Attributes:
        sent_at_ns: wall clock when sending began, ns since the epoch.
        status: HTTP status, None when no response head came.
        headers: response headers, lower-case names; repeated ones joined by ", ".
        chunks: body bytes as they arrived.
        times_ns: arrival of each chunk, ns since sending began (monotonic clock).
        headers_s: seconds until the response head was seen, None when none came.
        latency_s: seconds until the body ended or the failure showed.
        failure: why the exchange did not complete, None when it did.
        message: the network's or the library's message about the failure.
        reached: False when the server cannot have had the whole request.
    """

    sent_at_ns: int
    status: int | None = None
    headers: dict[str, str] = {}
    chunks: list[bytes] = []
    times_ns: list[int] = []
    headers_s: float | None = None
    latency_s: float | None = None
    failure: ErrorKind | None = None
    message: str | None = None
    reached: bool = True


class Transport(Protocol):
    """Sends POSTs. Only :class:`asyncio.CancelledError` ever leaves :meth:`post`."""

    async def __aenter__(self) -> Self:
        """Open the transport."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> bool | None:
        """Close every connection."""
        ...

    def post(
        self, url: str, headers: dict[str, str], body: bytes, request_id: str | None = None
    ) -> Coroutine[Any, Any, Exchange]:
        """Send one request and observe its response to the end; redirects are not followed.

        Args:
            url: where to.
            headers: what all requests to that URL have in common.
            body: sent unchanged.
            request_id: names this one, in :data:`REQUEST_ID_HEADER`; None sends no such header.
        """
        ...


class ResponseRefusedError(Exception):
    """A response that is not read on: too large, or in an encoding that was not accepted."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class ExchangeRecorder:
    """Collects the parts of an :class:`Exchange` while it runs."""

    __slots__ = (
        "_chunks",
        "_headers",
        "_headers_ns",
        "_start",
        "_times",
        "remaining_bytes",
        "sent_at_ns",
        "status",
    )

    def __init__(self, limits: LimitsConfig) -> None:
        self.remaining_bytes = int(limits.max_response_mib * 1024 * 1024)
        self.status: int | None = None
        self._headers: dict[str, str] = {}
        self._headers_ns: int | None = None
        self._chunks: list[bytes] = []
        self._times: list[int] = []
        self.sent_at_ns = session_clock.now_ns()
        self._start = time.perf_counter_ns()

    def elapsed_ns(self) -> int:
        """Nanoseconds since sending began."""
        return time.perf_counter_ns() - self._start

    def record_head(
        self, status: int, headers: list[tuple[str, str]], at_ns: int | None = None
    ) -> int | None:
        """Record the response head; return the announced body length, None when not announced.

        Args:
            status: the HTTP status.
            headers: names in lower case, repeated ones several times.
            at_ns: when it came (see :meth:`elapsed_ns`); None: now.

        Raises:
            RefusedError: the announced body is over the limit or not ``identity`` encoded.
        """
        self._headers_ns = self.elapsed_ns() if at_ns is None else at_ns
        self.status = status
        self._headers = fields = dict(headers)
        if len(fields) < len(headers):
            fields.clear()
            for name, value in headers:
                fields[name] = f"{fields[name]}, {value}" if name in fields else value
        encoding = fields.get("content-encoding", "").strip().lower()
        if encoding not in IDENTITY_ENCODINGS:
            raise ResponseRefusedError(
                ErrorKind.BAD_ENCODING,
                f"the response is {encoding[:40]} encoded although only identity was accepted",
            )
        length = fields.get("content-length", "").strip()
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            return None
        if int(length) > self.remaining_bytes:
            raise ResponseRefusedError(
                ErrorKind.TOO_LARGE, f"the response announces {length} bytes, over the limit"
            )
        return int(length)

    def record_chunk(self, data: bytes, at_ns: int | None = None) -> None:
        """Record body bytes that came ``at_ns`` (None: now).

        Raises:
            RefusedError: the body is over the limit.
        """
        self.remaining_bytes -= len(data)
        if self.remaining_bytes < 0:
            raise ResponseRefusedError(ErrorKind.TOO_LARGE, "the response is longer than the limit")
        self._chunks.append(data)
        self._times.append(self.elapsed_ns() if at_ns is None else at_ns)

    def finish(
        self, failure: ErrorKind | None = None, message: str | None = None, *, reached: bool = True
    ) -> Exchange:
        """The Exchange, complete or failed at this moment."""
        return Exchange(
            sent_at_ns=self.sent_at_ns,
            status=self.status,
            headers=self._headers,
            chunks=self._chunks,
            times_ns=self._times,
            headers_s=None if self._headers_ns is None else self._headers_ns / 1e9,
            latency_s=(time.perf_counter_ns() - self._start) / 1e9,
            failure=failure,
            message=message,
            reached=reached,
        )
