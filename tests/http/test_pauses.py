"""What was delivered while this process stood still is read before a time limit may fail it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from evalharness.http import Transport
from evalharness.http.exchange import Exchange
from evalharness.records import ErrorKind
from tests.http.conftest import Serve
from tests.http.raw_server import ANSWER, Peer, chunked, response

Opened = Callable[..., Transport]
ALL = ("timeout_first_byte_s", "timeout_stall_s", "timeout_total_s")


class _Pause:
    """A server in a thread of its own, which answers while the loop of the client stands still."""

    def __init__(self, serve: Serve, answer: bytes) -> None:
        self._serve, self._answer = serve, answer
        self._received, self._stands, self._answered = (threading.Event() for _ in range(3))
        self._ready, self._done = threading.Event(), threading.Event()
        self.url = ""
        self.requests = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        async with self._serve(self._handle) as server:
            self.url = server.url
            self._ready.set()
            await asyncio.to_thread(self._done.wait)
            self.requests = len(server.requests)

    async def _handle(self, peer: Peer) -> None:
        self._received.set()
        await asyncio.to_thread(self._stands.wait)
        peer.writer.write(self._answer)
        for _ in range(10):  # until it is with the system, or the socket is full
            await asyncio.sleep(0.01)
        self._answered.set()
        await peer.wait_closed()

    async def post(self, transport: Transport, stands_s: float) -> Exchange:
        """Send a request; once it has arrived, stand still until it is answered and longer."""
        self._thread.start()
        self._ready.wait()
        try:
            async with transport:
                sending = asyncio.create_task(transport.post(self.url, {}, b"{}"))
                await asyncio.to_thread(self._received.wait)
                self._stand(stands_s)
                return await sending
        finally:
            self._done.set()
            await asyncio.to_thread(self._thread.join)

    def _stand(self, seconds: float) -> None:
        began = time.monotonic()
        self._stands.set()
        self._answered.wait()
        time.sleep(max(0.0, began + seconds - time.monotonic()))


@pytest.mark.parametrize(
    ("limited", "stands_s"),
    [(ALL[:1], 0.5), (ALL[2:], 0.5), (ALL, 1.5)],
    ids=["first byte", "total", "all, longer"],
)
async def test_an_answer_in_the_socket_is_read(
    opened: Opened, serve: Serve, limited: tuple[str, ...], stands_s: float
) -> None:
    """The answer is with the system when the process goes on, and the limits have passed."""
    pause = _Pause(serve, b"".join(chunked(ANSWER, ANSWER)))
    seen = await pause.post(opened(**dict.fromkeys(limited, 0.3)), stands_s)
    assert seen.failure is None
    assert b"".join(seen.chunks) == ANSWER + ANSWER
    assert pause.requests == 1


async def test_an_answer_too_long_for_the_socket_is_read_on(opened: Opened, serve: Serve) -> None:
    """A long pause counts for no limit: the server goes on where the socket was full."""
    pause = _Pause(serve, response(b"x" * 9_000_000))
    seen = await pause.post(opened(**dict.fromkeys(ALL, 0.8)), 2.0)
    assert seen.failure is None
    assert sum(map(len, seen.chunks)) == 9_000_000


async def test_a_server_that_says_nothing_is_left_after_a_pause(
    opened: Opened, serve: Serve
) -> None:
    """The limit begins anew; the request does not wait for ever."""
    pause = _Pause(serve, b"")
    seen = await pause.post(opened(timeout_first_byte_s=0.3), 1.5)
    assert seen.failure is ErrorKind.FIRST_BYTE_TIMEOUT
