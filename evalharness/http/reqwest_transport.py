"""pyreqwest, whose connections live in Rust: the default for TLS and proxies.

A request costs one or two wake-ups of the event loop. Time limits are kept by one :class:`Watch`
a request: reqwest itself has a single read timeout for the first byte and for stalls, and none
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
from evalharness.http.exchange import (
    IDLE_SECONDS,
    STREAMED,
    Exchange,
    Recorder,
    RefusedError,
    outgoing,
)
from evalharness.http.timeouts import Watch
from evalharness.records import ErrorKind

# An endpoint's URL is the same for every request, and reading it takes longer than posting.
_parsed = lru_cache(16)(Url)
# A body up to this size goes into socket buffers at once; sending a longer one can take time, so
# it is handed over in pieces and its progress is watched.
_PIECE = 256 * 1024


class ReqwestTransport:
    """POSTs through pyreqwest; see :class:`~.exchange.Transport`."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
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
        self._client = builder.build()
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
        recorder = Recorder(limits)
        upload = _Upload(body) if len(body) > _PIECE else None
        watch = _watch(limits) if upload is None else _UploadWatch(limits, upload)
        try:
            with watch:
                builder = self._client.post(_parsed(url))
                builder = builder.headers(outgoing(url, headers, body, request_id))
                if upload is None:
                    builder = builder.body_bytes(body)
                else:
                    builder = builder.header("content-length", str(len(body))).body_stream(upload)
                # 0 returns at the response head; 1 waits for the first bytes of the body, which
                # spares a wake-up where head and body arrive together: all but streamed answers.
                at_head = STREAMED in body
                request = builder.streamed_read_buffer_limit(0 if at_head else 1).build_streamed()
                response = await request.__aenter__()
                try:
                    await self._read(response, recorder, watch)
                except BaseException:
                    # Closes the connection. After a body read to its end there is nothing to
                    # close, and not asking saves a wake-up.
                    await request.__aexit__(None, None, None)
                    raise
        except asyncio.CancelledError:
            if not watch.own():
                raise
            reached = watch.expired is not ErrorKind.WRITE_TIMEOUT
            return recorder.done(watch.expired, "a time limit passed", reached=reached)
        except RefusedError as error:
            return recorder.done(error.kind, error.message)
        except (exceptions.PyreqwestError, ValueError) as error:
            sent_whole = upload is None or upload.done
            return _failed(recorder, error, sent_whole=sent_whole)
        watch.own()  # a deadline that passed in the very moment of completion
        watch.check()
        return recorder.done()

    async def _read(self, response: Response, recorder: Recorder, watch: Watch) -> None:
        # An announced length tells the end without asking once more.
        left = recorder.head(response.status, _header_items(response))
        stall = self._limits.timeout_stall_s
        read_chunk = response.body_reader.read_chunk
        while left != 0:
            watch.phase(ErrorKind.STALL_TIMEOUT, stall)
            chunk = await read_chunk()
            if chunk is None:
                return
            recorder.chunk(chunk.to_bytes())
            if left is not None:
                left -= len(chunk)


class _Upload:
    """A long body, handed over in pieces; tells how far it got."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.done = False
        self.moved_at = time.monotonic()

    def __iter__(self) -> Iterator[memoryview]:
        view = memoryview(self._body)
        for start in range(0, len(view), _PIECE):
            self.moved_at = time.monotonic()
            yield view[start : start + _PIECE]
        self.moved_at = time.monotonic()
        self.done = True


def _watch(limits: LimitsConfig) -> Watch:
    """Waits for the first byte from the start on."""
    return Watch(
        limits.timeout_total_s,
        ErrorKind.FIRST_BYTE_TIMEOUT,
        limits.timeout_first_byte_s,
        least_s=limits.timeout_stall_s,
    )


class _UploadWatch(Watch):
    """A watch that waits for the first byte only once a long body has been handed over."""

    __slots__ = ("_first_byte_s", "_upload", "_write_s")

    def __init__(self, limits: LimitsConfig, upload: _Upload) -> None:
        self._upload: _Upload | None = upload
        self._write_s = limits.timeout_write_s
        self._first_byte_s = limits.timeout_first_byte_s
        kind, stall_s = ErrorKind.WRITE_TIMEOUT, limits.timeout_stall_s
        super().__init__(limits.timeout_total_s, kind, self._write_s, least_s=stall_s)

    def phase(self, kind: ErrorKind, seconds: float) -> None:
        self._upload = None  # the server answers: whatever it left unread no longer matters
        super().phase(kind, seconds)

    def look(self) -> tuple[ErrorKind | None, float]:
        upload = self._upload
        if upload is None:
            return super().look()
        # asyncio's loop clock is time.monotonic as well.
        if upload.done:
            return ErrorKind.FIRST_BYTE_TIMEOUT, upload.moved_at + self._first_byte_s
        return ErrorKind.WRITE_TIMEOUT, upload.moved_at + self._write_s


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


def _failed(recorder: Recorder, error: Exception, *, sent_whole: bool) -> Exchange:
    """The Exchange for an error of the library."""
    kind, connecting = _classify(error, answered=recorder.status is not None)
    message = _message(error)
    return recorder.done(kind, message, reached=sent_whole and not connecting)


def _classify(error: Exception, *, answered: bool) -> tuple[ErrorKind, bool]:
    """The kind of an error, and whether it arose before anything was sent."""
    if isinstance(error, exceptions.PoolTimeoutError):
        return ErrorKind.POOL_TIMEOUT, True
    if isinstance(error, exceptions.BuilderError) or not isinstance(
        error, exceptions.PyreqwestError
    ):
        return ErrorKind.BAD_URL, True
    causes = _causes(error)
    if "client error (Connect)" in causes:
        return _connecting(error, " ".join(causes).lower()), True
    if "client error (Canceled)" in causes or "client error (ChannelClosed)" in causes:
        return ErrorKind.CONNECT, True  # the connection was gone before the request got into it
    if isinstance(error, exceptions.DecodeError) and not answered:
        return ErrorKind.BAD_RESPONSE, False  # what came is not HTTP
    return ErrorKind.CONNECTION_LOST, False


def _connecting(error: Exception, causes: str) -> ErrorKind:
    if isinstance(error, TimeoutError) or "timed out" in causes:
        return ErrorKind.CONNECT_TIMEOUT
    if "dns error" in causes:
        return ErrorKind.DNS
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
    return causes[-1] if causes else str(error)
