"""One HTTP/1.1 connection: sends a request, and times each piece of its response.

llhttp parses (Node's parser, through httptools). This module adds what a measurement needs of a
connection and no library offers: every piece is recorded in the callback that the event loop calls
for it, with no thread, task or queue between the socket and the clock.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from evalharness.config.models import LimitsConfig
from evalharness.http.certificates import refuses_client, tls_failure
from evalharness.http.encoded_request import EncodedRequest
from evalharness.http.exchange import Exchange, ExchangeRecorder, ResponseRefusedError
from evalharness.process.fair_wakeup import BatchedWakeups
from evalharness.process.pauses import LATE_S, MAX_PAUSES, READ_S
from evalharness.records import ErrorKind

# No sensible response has a longer head, or longer data between two pieces of a body or after the
# last one (chunk sizes and extensions, trailers); the parser has no limit of its own.
_MAX_HEAD_BYTES = 256 * 1024


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time.

    Args:
        limits: the time limits.
        wakeups: delivers the exchanges to those who wait for them.
        on_idle: called once a response is complete and another request may follow.
        on_lost: called once, when the connection has ended.

    Attributes:
        idle_since: loop time since which it has been free, in seconds.
    """

    __slots__ = (
        "_at_ns", "_closes", "_due", "_head_bytes", "_headers", "_limits", "_loop", "_on_idle",
        "_on_lost", "_parser", "_pauses", "_poll", "_progress_at", "_recorder",
        "_shortest_limit_s", "_timer", "_total_at", "_transport", "_unsent", "_until_close",
        "_waiter", "_wakeups", "_writing", "idle_since",
    )  # fmt: skip

    def __init__(
        self,
        limits: LimitsConfig,
        wakeups: BatchedWakeups[Exchange],
        on_idle: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self._limits, self._wakeups = limits, wakeups
        self._on_idle, self._on_lost = on_idle, on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = (
            None  # while connected: it and this object refer to each other
        )
        self._poll: select.poll | None = None
        # Of the current request; `_recorder` and `_waiter` are None while there is none.
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = self._unsent = self._pauses = 0
        self._until_close = self._closes = self._writing = False
        self._total_at = self._progress_at = 0.0
        self._at_ns = 0
        # The shortest limit: the current phase can change without setting the timer again.
        self._shortest_limit_s = min(
            limits.timeout_first_byte_s, limits.timeout_stall_s, limits.timeout_write_s
        )
        # Fires before the next time limit can pass, and stays set from one request to the next.
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # of the timer: uvloop's has none where the time has come already
        self._recorder: ExchangeRecorder | None = None
        self._waiter: asyncio.Future[Exchange] | None = None
        self.idle_since = 0.0

    # ── for the pool ─────────────────────────────────────────────────────────────────────────

    def send(self, request: EncodedRequest, recorder: ExchangeRecorder) -> asyncio.Future[Exchange]:
        """Send a request; the future gets its exchange, whatever its outcome.

        Args:
            request: head, body and limits.
            recorder: its clock began with the request.
        """
        assert self._transport is not None
        now = self._loop.time()
        self._headers, self._head_bytes, self._until_close = [], 0, False
        self._recorder, self._closes, self._total_at = recorder, request.closes, request.total_at
        self._waiter = waiter = self._loop.create_future()
        self._unsent, self._progress_at, self._pauses = len(request.data), now, 0
        if not self._transport.is_closing():
            self._transport.write(request.data)
        if self._transport.is_closing():  # the system did not take a byte of it
            self._fail(ErrorKind.CONNECTION_LOST, "the connection was closed", reached=False)
            return waiter
        self._set_timer(now + self._shortest_limit_s)
        return waiter

    def usable(self) -> bool:
        """Whether nothing has come since the last response: neither bytes nor the end.

        The socket itself is polled, for what the event loop has not reported yet.
        """
        return (
            self._transport is not None
            and not self._transport.is_closing()
            and not self._is_readable(self._transport)
        )

    def _is_readable(self, transport: asyncio.Transport) -> bool:
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(self._poll.poll(0))

    def abandon(self, waiter: asyncio.Future[Exchange]) -> None:
        """End the connection if it still serves this waiter, which was cancelled.

        If the response was complete at the same moment, it may serve another request by now.
        """
        if self._waiter is waiter:
            self.close()

    def close(self) -> None:
        """End the connection at once; its current request gets no answer any more."""
        self._clear()
        if self._transport is not None:
            self._transport.abort()

    # ── called by the event loop ─────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and make it write at once.

        Otherwise uvloop collects writes until the end of its turn: the requests of a turn that
        processes a thousand replies would all leave after the last of them, and their answers
        would come together again.
        """
        self._transport = cast("asyncio.Transport", transport)
        self._parser = parser = HttpResponseParser(self)
        # As lenient as the other transports. Strictness protects against bytes that are taken for
        # another response; here such bytes end the connection.
        parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        """Parse what came; the parser calls the ``on_`` methods below."""
        recorder, parser = self._recorder, self._parser
        if recorder is None or parser is None:
            self.close()  # bytes without a request
            return
        self._at_ns = recorder.elapsed_ns()
        self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self._recorder is recorder and self._waiter is not None:
                answered = recorder.status is not None
                kind = ErrorKind.CONNECTION_LOST if answered else ErrorKind.BAD_RESPONSE
                self._fail(kind, f"what came is not HTTP: {error}")
            else:
                self.close()
            return
        if self._head_bytes > _MAX_HEAD_BYTES and self._recorder is recorder:
            self._fail(ErrorKind.BAD_RESPONSE, "a head or trailer of the response does not end")

    def connection_lost(self, exc: Exception | None) -> None:
        """Deliver the exchange: a response without a length ends with the connection."""
        if self._recorder is not None:
            if exc is None and self._until_close:
                self._deliver(self._recorder.finish())
            else:
                self._fail_by_end(self._recorder, exc)
        self._parser = None
        if self._timer is not None:
            self._timer.cancel()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The system does not take all of a request at once."""
        self._writing = True

    def resume_writing(self) -> None:
        """The system has taken the rest: the wait for the first byte begins."""
        self._writing, self._progress_at = False, self._loop.time()

    # ── called by the parser ─────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """End the connection of a server that sends a response without a request."""
        if self._recorder is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; one that is no text is dropped, and so are trailers."""
        if self._recorder is None or self._recorder.status is not None:
            return
        try:
            self._headers.append((name.decode().lower(), value.decode()))
        except UnicodeDecodeError:
            return

    def on_headers_complete(self) -> None:
        """Record the head of a response, unless it is an informational one (1xx)."""
        recorder, parser = self._recorder, self._parser
        if recorder is None or parser is None:
            return
        status = parser.get_status_code()
        if 100 <= status < 200:
            return
        try:
            length = recorder.record_head(status, self._headers, self._at_ns)
        except ResponseRefusedError as error:
            self._fail(error.kind, error.message)
            return
        self._until_close = length is None and not any(
            name == "content-length" or (name == "transfer-encoding" and "chunked" in value.lower())
            for name, value in self._headers
        )

    def on_body(self, body: bytes) -> None:
        """Record a piece of the body; that of an informational response is dropped."""
        if self._recorder is None or self._recorder.status is None:
            return
        self._head_bytes = 0
        try:
            self._recorder.record_chunk(body, self._at_ns)
        except ResponseRefusedError as error:
            self._fail(error.kind, error.message)

    def on_message_complete(self) -> None:
        """The response is complete."""
        recorder, parser = self._recorder, self._parser
        if recorder is None or parser is None:
            return
        if recorder.status is None:  # an informational one: the response itself follows
            self._headers, self._head_bytes = [], 0
            return
        reusable = not self._closes and parser.should_keep_alive() and not self._writing
        self._deliver(recorder.finish())
        if reusable:
            self.idle_since = self._loop.time()
            self._on_idle(self)
        else:
            self.close()  # aborts: a graceful close would first send the rest of the request

    # ── how it ends ──────────────────────────────────────────────────────────────────────────

    def _on_timer(self) -> None:
        """A time limit may have passed: fail, or set the timer for the next one."""
        self._timer = None
        recorder, now = self._recorder, self._loop.time()
        if recorder is None:
            return
        if now - self._due >= LATE_S and self._pauses < MAX_PAUSES:
            self._go_on_after_pause(recorder, now, late_s=now - self._due)
        kind, due = self._current_deadline(recorder, now)
        if now >= self._total_at:
            kind = ErrorKind.TOTAL_TIMEOUT
        elif now < due:
            self._set_timer(min(due, now + self._shortest_limit_s))
            return
        if self._stands_unread(now - min(due, self._total_at)):
            self._set_timer_at(now + READ_S)
            return
        self._fail(kind, "a time limit passed", reached=self._reached(recorder))

    def _go_on_after_pause(self, recorder: ExchangeRecorder, now: float, *, late_s: float) -> None:
        """This process stood still: the limit of the phase begins anew, the total one is moved."""
        self._pauses += 1
        self._progress_at, self._at_ns = now, recorder.elapsed_ns()
        _, due = self._current_deadline(recorder, now)
        self._total_at = max(self._total_at + late_s, due)

    def _stands_unread(self, overdue_s: float) -> bool:
        """Whether something has come that the loop has yet to read; for a second, then no more."""
        transport = self._transport
        return (
            overdue_s < LATE_S
            and transport is not None
            and not transport.is_closing()
            and self._is_readable(transport)
        )

    def _current_deadline(self, recorder: ExchangeRecorder, now: float) -> tuple[ErrorKind, float]:
        """The time limit of the current phase: its error kind and its loop time."""
        limits = self._limits
        if recorder.status is not None:
            silent_s = (recorder.elapsed_ns() - self._at_ns) / 1e9
            return ErrorKind.STALL_TIMEOUT, now - silent_s + limits.timeout_stall_s
        if not self._writing:
            return ErrorKind.FIRST_BYTE_TIMEOUT, self._progress_at + limits.timeout_first_byte_s
        unsent = 0 if self._transport is None else self._transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent, self._progress_at = unsent, now
        return ErrorKind.WRITE_TIMEOUT, self._progress_at + limits.timeout_write_s

    def _set_timer(self, when: float) -> None:
        # A timer that is set fires in time: no request began before the one it was set for, and all
        # have the same limits.
        if self._timer is None:
            self._set_timer_at(min(when, self._total_at))

    def _set_timer_at(self, when: float) -> None:
        self._due, self._timer = when, self._loop.call_at(when, self._on_timer)

    def _fail_by_end(self, recorder: ExchangeRecorder, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError) and recorder.status is None and refuses_client(exc):
            kind, message = tls_failure(exc)
            self._fail(kind, message, reached=False)
            return
        message = str(exc or "the connection ended before the response did")
        self._fail(ErrorKind.CONNECTION_LOST, message, reached=self._reached(recorder))

    def _reached(self, recorder: ExchangeRecorder) -> bool:
        """Whether the server may have got all of the request, or answered without the rest."""
        return not self._writing or recorder.status is not None

    def _fail(self, kind: ErrorKind, message: str, *, reached: bool = True) -> None:
        if self._recorder is not None:
            self._deliver(self._recorder.finish(kind, message, reached=reached))
        self.close()

    def _deliver(self, exchange: Exchange) -> None:
        waiter = self._waiter
        self._clear()
        if waiter is not None:
            self._wakeups.put(waiter, exchange)

    def _clear(self) -> None:
        self._recorder = self._waiter = None
