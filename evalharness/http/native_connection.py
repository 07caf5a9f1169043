"""One plain HTTP/1.1 connection: a request out, the pieces of its response in, each with its time.

Parsing is llhttp's (Node's parser, through httptools). What is here is what a measurement needs of
a connection and no library gives: every piece is noted in the very callback that the event loop
calls for it, with no thread, task or queue between the socket and the clock.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from evalharness.config.models import LimitsConfig
from evalharness.http.exchange import Exchange, Recorder, RefusedError
from evalharness.process.fair_wakeup import Slices
from evalharness.records import ErrorKind

# Neither a head nor what may stand between two pieces of a body or after the last (sizes and their
# extensions, trailers) is longer in any sensible response, and the parser has no limit of its own.
_MOST_HEAD_BYTES = 256 * 1024


class Request(NamedTuple):
    """What goes out.

    Attributes:
        data: head and body.
        total_at: loop time at which all must be over, in seconds.
        last: the connection is not used again, whatever the server says.
    """

    data: bytes
    total_at: float
    last: bool


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time.

    Args:
        limits: how long to wait for what.
        slices: hands over what requests came to.
        freed: called once a response is whole and another request may follow.
        lost: called once, when the connection is over.

    Attributes:
        idle_since: loop time since which it has been free, in seconds.
    """

    __slots__ = (
        "_at_ns",
        "_freed",
        "_head_bytes",
        "_headers",
        "_last",
        "_limits",
        "_loop",
        "_lost",
        "_moved_at",
        "_parser",
        "_recorder",
        "_sending",
        "_slices",
        "_soonest_s",
        "_timer",
        "_total_at",
        "_transport",
        "_unread",
        "_unsent",
        "_until_end",
        "_waiter",
        "idle_since",
    )

    def __init__(
        self,
        limits: LimitsConfig,
        slices: Slices[Exchange],
        freed: Callable[[Connection], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self._limits, self._slices = limits, slices
        self._freed, self._lost = freed, lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None  # while connected: the two hold each other
        self._unread: select.poll | None = None
        # Of the request on its way; the last two are None while there is none.
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = self._unsent = 0
        self._until_end = self._last = self._sending = False
        self._total_at = self._moved_at = 0.0
        self._at_ns = 0
        # The shortest limit: what is waited for can change without a look at the timer.
        self._soonest_s = min(
            limits.timeout_first_byte_s, limits.timeout_stall_s, limits.timeout_write_s
        )
        # Rings no later than a limit can pass. It stays set from one request to the next.
        self._timer: asyncio.TimerHandle | None = None
        self._recorder: Recorder | None = None
        self._waiter: asyncio.Future[Exchange] | None = None
        self.idle_since = 0.0

    # ── for the pool ─────────────────────────────────────────────────────────────────────────

    def send(self, request: Request, recorder: Recorder) -> asyncio.Future[Exchange]:
        """Send a request; the future gets what came of it, whatever that is.

        Args:
            request: head, body and what holds for them.
            recorder: began when the request did.
        """
        assert self._transport is not None
        now = self._loop.time()
        self._headers, self._head_bytes, self._until_end = [], 0, False
        self._recorder, self._last, self._total_at = recorder, request.last, request.total_at
        self._waiter = waiter = self._loop.create_future()
        self._unsent, self._moved_at = len(request.data), now
        if not self._transport.is_closing():
            self._transport.write(request.data)
        if self._transport.is_closing():  # the system did not take a byte of it
            self._fail(ErrorKind.CONNECTION_LOST, "the connection was closed", reached=False)
            return waiter
        self._look_at(now + self._soonest_s)
        return waiter

    def usable(self) -> bool:
        """Whether nothing has come since the last response: neither bytes nor the end.

        What the event loop has not been told of yet is asked of the socket itself.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        if self._unread is None:
            self._unread = select.poll()
            self._unread.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._unread.poll(0)

    def abandon(self, waiter: asyncio.Future[Exchange]) -> None:
        """End the connection if it still works for this waiter, which nobody waits for any more.

        Where the response was whole in that very moment, it may serve another by now.
        """
        if self._waiter is waiter:
            self.close()

    def close(self) -> None:
        """End the connection at once; a request on its way gets no answer any more."""
        self._forget()
        if self._transport is not None:
            self._transport.abort()

    # ── called by the event loop ─────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and have it write at once.

        uvloop else collects what is written until the end of its turn: the requests of a turn in
        which a thousand replies are worked off would all leave after the last of them, and their
        answers come together again.
        """
        self._transport = cast("asyncio.Transport", transport)
        self._parser = parser = HttpResponseParser(self)
        # What the other transports read too. Bytes taken for another response, against which
        # strictness is meant, are nobody's here: they end the connection.
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
            self.close()  # nobody asked for it
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
        if self._head_bytes > _MOST_HEAD_BYTES and self._recorder is recorder:
            self._fail(ErrorKind.BAD_RESPONSE, "a head or trailer of the response does not end")

    def connection_lost(self, exc: Exception | None) -> None:
        """Conclude: the end of the connection is that of a response without a length."""
        if self._recorder is not None:
            if exc is None and self._until_end:
                self._conclude(self._recorder.done())
            else:
                message = str(exc or "the connection ended before the response did")
                reached = self._reached(self._recorder)
                self._fail(ErrorKind.CONNECTION_LOST, message, reached=reached)
        self._parser = None
        if self._timer is not None:
            self._timer.cancel()
        self._lost(self)

    def pause_writing(self) -> None:
        """The system does not take all of a request at once."""
        self._sending = True

    def resume_writing(self) -> None:
        """It has taken the rest: waiting for the first byte begins."""
        self._sending, self._moved_at = False, self._loop.time()

    # ── called by the parser ─────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """Let go of a server that says more than it was asked."""
        if self._recorder is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; one that is no text is left out, and so is what follows the body."""
        if self._recorder is None or self._recorder.status is not None:
            return
        try:
            self._headers.append((name.decode().lower(), value.decode()))
        except UnicodeDecodeError:
            return

    def on_headers_complete(self) -> None:
        """Note the head of a response, unless it only announces another one."""
        recorder, parser = self._recorder, self._parser
        if recorder is None or parser is None:
            return
        status = parser.get_status_code()
        if 100 <= status < 200:
            return
        try:
            length = recorder.head(status, self._headers, self._at_ns)
        except RefusedError as error:
            self._fail(error.kind, error.message)
            return
        self._until_end = length is None and not any(
            name == "content-length" or (name == "transfer-encoding" and "chunked" in value.lower())
            for name, value in self._headers
        )

    def on_body(self, body: bytes) -> None:
        """Note a piece of the body; an announcement's is nobody's."""
        if self._recorder is None or self._recorder.status is None:
            return
        self._head_bytes = 0
        try:
            self._recorder.chunk(body, self._at_ns)
        except RefusedError as error:
            self._fail(error.kind, error.message)

    def on_message_complete(self) -> None:
        """The response is whole."""
        recorder, parser = self._recorder, self._parser
        if recorder is None or parser is None:
            return
        if recorder.status is None:  # an announcement: the response itself follows
            self._headers, self._head_bytes = [], 0
            return
        again = not self._last and parser.should_keep_alive() and not self._sending
        self._conclude(recorder.done())
        if again:
            self.idle_since = self._loop.time()
            self._freed(self)
        else:
            self.close()  # at once: what is left of the request would be sent to its end first

    # ── how it ends ──────────────────────────────────────────────────────────────────────────

    def _ring(self) -> None:
        """A time limit may have passed: fail, or look again when the next one can."""
        self._timer = None
        recorder, now = self._recorder, self._loop.time()
        if recorder is None:
            return
        kind, due = self._limit(recorder, now)
        if now >= self._total_at:
            kind = ErrorKind.TOTAL_TIMEOUT
        elif now < due:
            self._look_at(min(due, now + self._soonest_s))
            return
        self._fail(kind, "a time limit passed", reached=self._reached(recorder))

    def _limit(self, recorder: Recorder, now: float) -> tuple[ErrorKind, float]:
        """What is waited for, and until when (loop time)."""
        limits = self._limits
        if recorder.status is not None:
            silent_s = (recorder.elapsed_ns() - self._at_ns) / 1e9
            return ErrorKind.STALL_TIMEOUT, now - silent_s + limits.timeout_stall_s
        if not self._sending:
            return ErrorKind.FIRST_BYTE_TIMEOUT, self._moved_at + limits.timeout_first_byte_s
        unsent = 0 if self._transport is None else self._transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent, self._moved_at = unsent, now
        return ErrorKind.WRITE_TIMEOUT, self._moved_at + limits.timeout_write_s

    def _look_at(self, when: float) -> None:
        # One that is set rings in time: no request here began before the one it was set for, and
        # all have the same limits.
        if self._timer is None:
            self._timer = self._loop.call_at(min(when, self._total_at), self._ring)

    def _reached(self, recorder: Recorder) -> bool:
        """Whether the server may have had all of the request, or answered without the rest."""
        return not self._sending or recorder.status is not None

    def _fail(self, kind: ErrorKind, message: str, *, reached: bool = True) -> None:
        if self._recorder is not None:
            self._conclude(self._recorder.done(kind, message, reached=reached))
        self.close()

    def _conclude(self, exchange: Exchange) -> None:
        waiter = self._waiter
        self._forget()
        if waiter is not None:
            self._slices.put(waiter, exchange)

    def _forget(self) -> None:
        self._recorder = self._waiter = None
