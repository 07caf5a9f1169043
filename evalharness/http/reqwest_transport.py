"""pyreqwest, whose connections live in Rust: for proxies and HTTP/2.

A request costs one or two wake-ups of the event loop. Each has an :class:`ExchangeTimer` for its
time limits: reqwest itself has a single read timeout for the first byte and for stalls, and none
for writing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from types import TracebackType
from typing import Self

from pyreqwest import exceptions
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.http import Url
from pyreqwest.response import Response

from evalharness.config.models import LimitsConfig
from evalharness.http.certificates import (
    CLIENT_HINT,
    SYSTEM_TRUST,
    TRUST_HINT,
    TlsSettings,
    client_context,
    read_pem,
)
from evalharness.http.exchange import (
    IDLE_SECONDS,
    STREAM_FLAG,
    Exchange,
    ExchangeRecorder,
    ResponseRefusedError,
    request_headers,
)
from evalharness.http.timeouts import ExchangeTimer
from evalharness.http.unix_url import is_unix_url
from evalharness.records import ErrorKind

# An endpoint's URL is the same for every request, and reading it takes longer than posting.
_parse_url = lru_cache(16)(Url)
# A body up to this size goes into socket buffers at once; sending a longer one can take time, so
# it is passed on in pieces and its progress is timed.
_PIECE_BYTES = 256 * 1024


class ReqwestTransport:
    """POSTs through pyreqwest; see :class:`~.exchange.Transport`."""

    def __init__(self, limits: LimitsConfig, tls: TlsSettings = SYSTEM_TRUST) -> None:
        self._limits, self._tls = limits, tls
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        limits = self._limits
        builder = (
            ClientBuilder()
            .user_agent("evalharness")
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .referer(False)
            .follow_redirects(False)
            .max_connections(limits.concurrency)
            .connect_timeout(timedelta(seconds=limits.timeout_connect_s))
            .pool_timeout(timedelta(seconds=limits.timeout_connect_s))
            .pool_idle_timeout(timedelta(seconds=IDLE_SECONDS))
        )
        if not limits.trust_env_proxies:
            builder = builder.no_proxy()
        self._client = _with_certificates(builder, self._tls).build()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, request_id: str | None = None
    ) -> Exchange:
        """Send one request and observe its response to the end."""
        if self._client is None:
            raise RuntimeError("the transport is not open: use it as an async context manager")
        limits = self._limits
        recorder = ExchangeRecorder(limits)
        if is_unix_url(url):
            message = "transport=reqwest has no Unix sockets: transport=auto has"
            return recorder.finish(ErrorKind.BAD_URL, message, reached=False)
        upload = _Upload(body) if len(body) > _PIECE_BYTES else None
        timer = _response_timer(limits) if upload is None else _UploadTimer(limits, upload)
        try:
            with timer:
                builder = self._client.post(_parse_url(url))
                builder = builder.headers(request_headers(url, headers, body, request_id))
                if upload is None:
                    builder = builder.body_bytes(body)
                else:
                    builder = builder.header("content-length", str(len(body))).body_stream(upload)
                # 0 returns at the response head; 1 waits for the first bytes of the body, which
                # spares a wake-up where head and body arrive together: all but streamed answers.
                at_head = STREAM_FLAG in body
                request = builder.streamed_read_buffer_limit(0 if at_head else 1).build_streamed()
                response = await request.__aenter__()
                try:
                    await self._read(response, recorder, timer)
                except BaseException:
                    # Closes the connection. After a body read to its end there is nothing to
                    # close, and leaving this out saves a wake-up.
                    await request.__aexit__(None, None, None)
                    raise
        except asyncio.CancelledError:
            if not timer.absorb_cancellation():
                raise
            reached = timer.expired is not ErrorKind.WRITE_TIMEOUT
            return recorder.finish(timer.expired, "a time limit passed", reached=reached)
        except ResponseRefusedError as error:
            return recorder.finish(error.kind, error.message)
        except (exceptions.PyreqwestError, ValueError) as error:
            sent_whole = upload is None or upload.done
            return _failed_exchange(recorder, error, sent_whole=sent_whole)
        timer.absorb_cancellation()  # a deadline that passed at the moment of completion
        timer.raise_if_cancelled()
        return recorder.finish()

    async def _read(
        self, response: Response, recorder: ExchangeRecorder, timer: ExchangeTimer
    ) -> None:
        # With an announced length the end is known without another read.
        remaining = recorder.record_head(response.status, _header_items(response))
        stall = self._limits.timeout_stall_s
        read_chunk = response.body_reader.read_chunk
        while remaining != 0:
            timer.start_phase(ErrorKind.STALL_TIMEOUT, stall)
            chunk = await read_chunk()
            if chunk is None:
                return
            recorder.record_chunk(chunk.to_bytes())
            if remaining is not None:
                remaining -= len(chunk)


def _with_certificates(builder: ClientBuilder, tls: TlsSettings) -> ClientBuilder:
    """The builder with what :class:`TlsSettings` says.

    Raises:
        ConfigError: a file cannot be used.
    """
    if tls != SYSTEM_TRUST:
        client_context(tls)  # finds, in our words, what is wrong with a file
    if tls.ca_file is not None:
        builder = builder.add_root_certificate_pem(read_pem("ca_file", tls.ca_file))
    if tls.client_cert is not None:
        pem = read_pem("client_cert", tls.client_cert)
        if tls.client_key is not None:
            pem += b"\n" + read_pem("client_key", tls.client_key)
        builder = builder.identity_pem(pem)
    return builder if tls.verify else builder.danger_accept_invalid_certs(True)


class _Upload:
    """A long body, passed on in pieces, with its progress."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.done = False
        self.progress_at = time.monotonic()

    def __iter__(self) -> Iterator[memoryview]:
        view = memoryview(self._body)
        for start in range(0, len(view), _PIECE_BYTES):
            self.progress_at = time.monotonic()
            yield view[start : start + _PIECE_BYTES]
        self.progress_at = time.monotonic()
        self.done = True


def _response_timer(limits: LimitsConfig) -> ExchangeTimer:
    """A timer whose first phase is the wait for the first byte."""
    return ExchangeTimer(
        limits.timeout_total_s,
        ErrorKind.FIRST_BYTE_TIMEOUT,
        limits.timeout_first_byte_s,
        shortest_s=limits.timeout_stall_s,
    )


class _UploadTimer(ExchangeTimer):
    """A timer whose first phase is the upload of a long body, then the wait for the first byte."""

    __slots__ = ("_first_byte_s", "_upload", "_write_s")

    def __init__(self, limits: LimitsConfig, upload: _Upload) -> None:
        self._upload: _Upload | None = upload
        self._write_s = limits.timeout_write_s
        self._first_byte_s = limits.timeout_first_byte_s
        kind, stall_s = ErrorKind.WRITE_TIMEOUT, limits.timeout_stall_s
        super().__init__(limits.timeout_total_s, kind, self._write_s, shortest_s=stall_s)

    def start_phase(self, kind: ErrorKind, seconds: float) -> None:
        self._upload = None  # the server answers: what it left unread no longer matters
        super().start_phase(kind, seconds)

    def begin_phase_anew(self, now: float) -> None:
        if self._upload is not None:
            self._upload.progress_at = now
        super().begin_phase_anew(now)

    def current_phase(self) -> tuple[ErrorKind | None, float]:
        upload = self._upload
        if upload is None:
            return super().current_phase()
        # asyncio's loop clock is time.monotonic as well.
        if upload.done:
            return ErrorKind.FIRST_BYTE_TIMEOUT, upload.progress_at + self._first_byte_s
        return ErrorKind.WRITE_TIMEOUT, upload.progress_at + self._write_s


def _header_items(response: Response) -> list[tuple[str, str]]:
    """Response headers; one that is no text (bytes that are not UTF-8) is left out."""
    headers = response.headers
    try:
        return list(headers.items())
    except ValueError:
        readable: list[tuple[str, str]] = []
        for name in headers.keys():  # noqa: SIM118 - not a dict: iterating it reads values
            try:
                readable += [(name, value) for value in response.get_header_all(name)]
            except ValueError:
                continue
        return readable


def _failed_exchange(recorder: ExchangeRecorder, error: Exception, *, sent_whole: bool) -> Exchange:
    """The Exchange for an error of the library."""
    kind, before_sending = _classify(error, answered=recorder.status is not None)
    message = _message(error)
    return recorder.finish(kind, message, reached=sent_whole and not before_sending)


def _classify(error: Exception, *, answered: bool) -> tuple[ErrorKind, bool]:
    """The kind of an error, and whether it arose before anything was sent."""
    if isinstance(error, exceptions.PoolTimeoutError):
        return ErrorKind.POOL_TIMEOUT, True
    if isinstance(error, exceptions.BuilderError) or not isinstance(
        error, exceptions.PyreqwestError
    ):
        return ErrorKind.BAD_URL, True
    causes = _causes(error)
    if any("fatal alert: certificate" in cause.lower() for cause in causes) and not answered:
        return ErrorKind.TLS, True  # the server did not accept ours, and so no request
    if "client error (Connect)" in causes:
        return _connect_error_kind(error, " ".join(causes).lower()), True
    if "client error (Canceled)" in causes or "client error (ChannelClosed)" in causes:
        return ErrorKind.CONNECT, True  # the connection ended before the request was written to it
    if isinstance(error, exceptions.DecodeError) and not answered:
        return ErrorKind.BAD_RESPONSE, False  # what came is not HTTP
    return ErrorKind.CONNECTION_LOST, False


def _connect_error_kind(error: Exception, causes: str) -> ErrorKind:
    if isinstance(error, TimeoutError) or "timed out" in causes:
        return ErrorKind.CONNECT_TIMEOUT
    if "dns error" in causes:
        return ErrorKind.DNS
    if "handshake eof" in causes:
        return ErrorKind.CONNECT  # as any end of a connection: it may pass
    if any(word in causes for word in ("certificate", "corrupt message", "alert", "handshake")):
        return ErrorKind.TLS
    return ErrorKind.CONNECT


def _causes(error: Exception) -> list[str]:
    if not isinstance(error, exceptions.DetailedPyreqwestError):
        return []
    return [cause["message"] for cause in error.details.get("causes") or []]


def _message(error: Exception) -> str:
    """The innermost cause in the library's words: the outer ones say where, not why."""
    causes = _causes(error)
    message = causes[-1] if causes else str(error)
    if "fatal alert: certificate" in message.lower():
        return f"{message}; {CLIENT_HINT}"
    if "UnknownIssuer" in message:
        return f"the server's certificate is not trusted ({message}): {TRUST_HINT}"
    if "CaUsedAsEndEntity" in message:
        return (
            f"{message}: without a proxy transport=auto takes such a certificate, named in "
            "provider.ca_file=FILE; through a proxy transport=httpx does"
        )
    return message
