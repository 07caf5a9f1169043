"""What the harness's own connections promise beyond the contract of every transport."""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import LimitsConfig
from evalharness.http import Exchange
from evalharness.http.exchange import ExchangeRecorder
from evalharness.http.native import NativeTransport, parse_target
from evalharness.http.native_connection import Connection, EncodedRequest
from evalharness.process.fair_wakeup import BatchedWakeups
from evalharness.records import ErrorKind
from tests.http.raw_server import ANSWER, Peer, chunked, limits, response, serving

BODY = b'{"model":"m"}'


async def test_answers_that_were_announced() -> None:
    """Informational responses before the response are passed over."""

    async def handler(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.say(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + response())

    async with serving(handler) as server, NativeTransport(limits(concurrency=1)) as transport:
        seen = [await transport.post(server.url, {}, BODY) for _ in range(3)]
    assert [one.status for one in seen] == [200] * 3
    assert {b"".join(one.chunks) for one in seen} == {ANSWER}
    assert "link" not in seen[0].headers
    assert server.connections == 1


async def test_body_until_the_connection_ends() -> None:
    """A response without a length ends with its connection; a reset is no such end."""
    resets = False

    async def handler(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n", ANSWER)
        if resets:
            await asyncio.sleep(0.05)  # else what was said would be lost with the connection
            peer.reset()
        peer.writer.close()

    async with serving(handler) as server, NativeTransport(limits()) as transport:
        whole = await transport.post(server.url, {}, BODY)
        resets = True
        cut = await transport.post(server.url, {}, BODY)
    assert (whole.failure, b"".join(whole.chunks)) == (None, ANSWER)
    assert (cut.failure, b"".join(cut.chunks)) == (ErrorKind.CONNECTION_LOST, ANSWER)


async def test_head_without_an_end() -> None:
    """A head that never ends is not collected for ever."""

    async def handler(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\n")
        while not peer.writer.is_closing():
            await peer.say(b"x-more: " + b"a" * 65536 + b"\r\n")

    async with serving(handler) as server, NativeTransport(limits()) as transport:
        seen = await transport.post(server.url, {}, BODY)
    assert seen.failure is ErrorKind.BAD_RESPONSE


async def test_answer_before_the_request_is_through() -> None:
    """A server that refuses a long request without reading it is heard."""

    async def handler(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(response(b"{}", status="413 Content Too Large"))
        await peer.wait_closed()

    async with (
        serving(handler, each_request=False) as server,
        NativeTransport(limits(concurrency=1)) as transport,
    ):
        seen = await transport.post(server.url, {}, b"x" * 32_000_000)
        again = await transport.post(server.url, {}, BODY)
    assert (seen.status, seen.failure) == (413, None)
    assert again.status == 413
    assert server.connections == 2  # the first was in the middle of a request


async def test_end_that_came_unnoticed() -> None:
    """A connection that ended while the event loop was busy is not used again."""

    async def handler(peer: Peer) -> None:
        await peer.say(response())
        peer.writer.close()
        ended.set()

    ended = asyncio.Event()
    async with serving(handler) as server, NativeTransport(limits(concurrency=1)) as transport:
        first = await transport.post(server.url, {}, BODY)
        await ended.wait()
        # No turn of the event loop passes between its end and the next request.
        seen = await transport.post(server.url, {}, BODY)
    assert (first.failure, seen.failure) == (None, None)


async def test_cancelled_while_it_waits_for_a_connection() -> None:
    """Whoever gives up in the line leaves it to the others."""
    go = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await go.wait()
        await peer.say(response())

    async with serving(handler) as server, NativeTransport(limits(concurrency=1)) as transport:
        posts = [asyncio.create_task(transport.post(server.url, {}, BODY)) for _ in range(4)]
        while not server.requests:
            await asyncio.sleep(0.01)
        posts[0].cancel()
        posts[2].cancel()
        go.set()
        seen = await asyncio.gather(*posts, return_exceptions=True)
    kinds = [type(one) for one in seen]
    assert kinds == [asyncio.CancelledError, Exchange, asyncio.CancelledError, Exchange]
    assert [one.failure for one in seen if isinstance(one, Exchange)] == [None, None]


async def test_cancelled_when_answered() -> None:
    """A cancellation in the moment of the answer does not hurt who uses the connection next."""

    async def handler(peer: Peer) -> None:
        await peer.say(response(peer.body))

    async with serving(handler) as server, NativeTransport(limits(concurrency=1)) as transport:
        for n in range(200):
            first = asyncio.create_task(transport.post(server.url, {}, BODY))
            for _ in range(n % 12):
                await asyncio.sleep(0)
            second = asyncio.create_task(transport.post(server.url, {}, b"%d" % n))
            await asyncio.sleep(0)
            first.cancel()
            seen = await asyncio.wait_for(second, 10)
            assert b"".join(seen.chunks) == b"%d" % n


async def test_nobody_leaves_the_line_in_time() -> None:
    """Waiting for a connection has a limit."""
    async with (
        serving(Peer.wait_closed) as server,
        NativeTransport(limits(concurrency=1, timeout_connect_s=0.2)) as transport,
    ):
        first = asyncio.create_task(transport.post(server.url, {}, BODY))
        await asyncio.sleep(0)  # it goes first
        seen = await transport.post(server.url, {}, BODY)
        first.cancel()
    assert seen.failure is ErrorKind.POOL_TIMEOUT
    assert not seen.reached


async def test_header_that_would_be_two() -> None:
    """A line end in a header is refused, not sent."""
    async with serving(Peer.wait_closed) as server, NativeTransport(limits()) as transport:
        seen = [
            await transport.post(server.url, {"x-a": "1\r\nx-b: 2"}, BODY),
            await transport.post(server.url, {}, BODY, "1\r\nx-b: 2"),
        ]
    assert {(one.failure, one.reached) for one in seen} == {(ErrorKind.BAD_URL, False)}
    assert server.connections == 0


async def test_limits_hold_for_a_later_request_on_the_connection() -> None:
    """The timer that stays set from one request to the next rings in time for each of them."""

    async def handler(peer: Peer) -> None:
        if server.connections == 1 and len(server.requests) == 1:
            await peer.say(response())
        else:
            await peer.wait_closed()

    some = limits(concurrency=1, timeout_first_byte_s=0.3)
    async with serving(handler) as server, NativeTransport(some) as transport:
        first = await transport.post(server.url, {}, BODY)
        await asyncio.sleep(0.2)  # the timer of the first rings in the middle of the second
        second = await transport.post(server.url, {}, BODY)
    assert (first.failure, second.failure) == (None, ErrorKind.FIRST_BYTE_TIMEOUT)
    assert server.connections == 1
    assert second.latency_s is not None
    assert second.latency_s >= 0.29


async def test_ipv6() -> None:
    """An address in brackets is connected to, and named so in ``Host``."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    heads: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(response())
        writer.close()

    listener = await asyncio.start_server(accept, "::1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        async with NativeTransport(limits()) as transport:
            seen = await transport.post(f"http://[::1]:{port}/v1/x?a=b c", {}, BODY)
    assert seen.failure is None
    assert heads[0].startswith(b"POST /v1/x?a=b%%20c HTTP/1.1\r\nhost: [::1]:%d\r\n" % port)


@pytest.mark.parametrize(
    ("url", "place", "line"),
    [
        ("http://a.example", ("a.example", 80), "POST / HTTP/1.1\r\nhost: a.example\r\n"),
        ("http://a.example:80/v1", ("a.example", 80), "POST /v1 HTTP/1.1\r\nhost: a.example\r\n"),
        ("http://A.example:81/é", ("a.example", 81), "POST /%C3%A9 HTTP/1.1\r\nhost: a.example:81"),
        ("http://bücher.example/%20", ("xn--bcher-kva.example", 80), "POST /%20 HTTP/1.1\r\n"),
    ],
)
def test_reading_a_url(url: str, place: tuple[str, int], line: str) -> None:
    """The place to connect to, and the start of the request."""
    target = parse_target(url)
    assert target.place[1:] == place
    assert target.head.startswith(line)


async def test_answer_before_the_request_is_through_leaves_nothing_to_send() -> None:
    """What is left of a refused request is dropped with its connection, not sent to its end."""
    concluded = asyncio.Event()
    rest = 0

    async def handler(peer: Peer) -> None:
        nonlocal rest
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(response(b"{}", status="413 Content Too Large"))
        await concluded.wait()
        try:
            while piece := await peer.reader.read(1 << 20):
                rest += len(piece)
        except ConnectionError:
            pass
        ended.set()

    ended = asyncio.Event()
    async with (
        serving(handler, each_request=False) as server,
        NativeTransport(limits()) as transport,
    ):
        seen = await transport.post(server.url, {}, b"x" * 64_000_000)
        concluded.set()
        await asyncio.wait_for(ended.wait(), 30)
    assert seen.status == 413
    assert rest < 64_000_000


async def test_answer_that_breaks_before_the_request_is_through() -> None:
    """A server that had begun to answer has acted on the request: it is not sent once more."""
    begun = response(b"{}", status="429 Too Many Requests")[:-1]

    async def handler(peer: Peer) -> None:
        while b"x-long" not in await peer.reader.readuntil(b"\r\n\r\n"):
            await peer.reader.readexactly(len(BODY))
            await peer.say(response())
        await peer.say(begun)
        await heard.wait()
        peer.reset()

    heard = asyncio.Event()
    async with (
        serving(handler, each_request=False) as server,
        NativeTransport(limits(concurrency=1)) as transport,
    ):
        await transport.post(server.url, {}, BODY)
        long = asyncio.create_task(transport.post(server.url, {"x-long": "1"}, b"x" * 64_000_000))
        await asyncio.sleep(0.3)  # for the head to arrive
        heard.set()
        seen = await long
    assert (seen.status, seen.failure) == (429, ErrorKind.CONNECTION_LOST)
    assert seen.reached
    assert server.connections == 1


async def test_stall_limit_after_a_long_wait_for_the_first_byte() -> None:
    """It holds from the last piece, also where the wait for the first was longer than it."""

    async def handler(peer: Peer) -> None:
        await asyncio.sleep(0.5)
        await peer.say(*chunked(b"data: 1\n\n", end=False))
        await peer.wait_closed()

    changed = limits(timeout_stall_s=0.3, timeout_first_byte_s=20)
    async with serving(handler) as server, NativeTransport(changed) as transport:
        seen = await transport.post(server.url, {}, BODY)
    assert seen.failure is ErrorKind.STALL_TIMEOUT
    assert seen.latency_s is not None
    assert seen.latency_s < 10


async def test_first_byte_limit_after_a_long_sending() -> None:
    """It holds from the end of sending, also where the limit for writing is longer."""

    async def handler(peer: Peer) -> None:
        await asyncio.sleep(0.5)
        await peer.wait_closed()

    changed = limits(timeout_first_byte_s=0.3, timeout_write_s=20)
    async with (
        serving(handler, each_request=False) as server,
        NativeTransport(changed) as transport,
    ):
        seen = await transport.post(server.url, {}, b"x" * 32_000_000)
    assert (seen.failure, seen.reached) == (ErrorKind.FIRST_BYTE_TIMEOUT, True)
    assert seen.latency_s is not None
    assert seen.latency_s < 10


@pytest.mark.parametrize(
    ("between", "more"),
    [
        (b"0\r\n", b"x-more: " + b"a" * 65536 + b"\r\n"),
        (b"0\r\nx-more: ", b"a" * 65536),
        (b"5;more=", b"a" * 65536),
    ],
)
async def test_no_end_behind_the_body(between: bytes, more: bytes) -> None:
    """Trailers and extensions are no more collected for ever than a head is."""

    async def handler(peer: Peer) -> None:
        await peer.say(*chunked(b"data: 1\n\n", end=False), between)
        while not peer.writer.is_closing():
            await peer.say(more)

    async with serving(handler) as server, NativeTransport(limits(timeout_total_s=5)) as transport:
        seen = await transport.post(server.url, {}, BODY)
    assert seen.failure is ErrorKind.BAD_RESPONSE
    assert b"".join(seen.chunks) == b"data: 1\n\n"


def _sockets() -> set[str]:
    """Those that this process has open."""
    links: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one through which these were read
            links.add(str(entry.readlink()))
    return {link for link in links if link.startswith("socket:")}


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("how", ["refused", "given up", "closed at once"])
def test_connections_that_came_to_nothing_are_forgotten(
    new_loop: Callable[[], asyncio.AbstractEventLoop], how: str
) -> None:
    """An outage costs no memory and no file."""

    def accept(listener: socket.socket) -> None:
        with suppress(BlockingIOError):
            listener.accept()[0].close()

    async def main() -> None:
        with ExitStack() as sockets:
            listener = sockets.enter_context(socket.socket())
            listener.setblocking(False)
            listener.bind(("127.0.0.1", 0))
            if how != "refused":
                listener.listen(0 if how == "given up" else 100)
            if how == "given up":  # as long as its queue is full
                for _ in range(4):
                    one = sockets.enter_context(socket.socket())
                    one.setblocking(False)
                    one.connect_ex(listener.getsockname())
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            async with NativeTransport(limits(timeout_connect_s=0.05)) as transport:
                before = _sockets()
                for _ in range(8):
                    post = asyncio.create_task(transport.post(url, {}, BODY))
                    while not post.done():
                        if how == "closed at once":
                            accept(listener)
                        await asyncio.sleep(0)
                    assert (await post).failure is not None
                await asyncio.sleep(0.05)  # for the ends to be told
                assert _sockets() <= before
                gc.collect()
                assert not any(isinstance(one, Connection) for one in gc.get_objects())

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("url", ["http://a\0b/", "http://\u2024/"])
def test_name_that_nobody_can_be_asked_for(url: str) -> None:
    """Nothing but a cancellation leaves a post as an exception."""

    async def main() -> Exchange:
        async with NativeTransport(limits()) as transport:
            return await transport.post(url, {}, BODY)

    seen = asyncio.run(main())  # asyncio's own loop refuses what uvloop's asks for
    assert (seen.failure, seen.reached) == (ErrorKind.BAD_URL, False)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n"
        b"2\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2  \r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b'2;a=b;c="d"\r\nab\r\n0\r\nx-checksum: 1\r\n\r\n',
        b"HTTP/1.1 200 OK\r\nx-odd: a\x01b\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nx-odd: a\r\n  b\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200\r\nConnection: x,  CLOSE\r\nContent-Length:2\t\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 150 Odd\r\ncontent-length: 2\r\n\r\nzz"
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
    ],
)
def test_odd_but_whole_responses(said: bytes) -> None:
    """An answer that other clients read is not lost to strictness, and is nobody else's words."""
    for pieces in ([said], [said[n : n + 1] for n in range(len(said))]):
        seen = fed(pieces)
        assert (seen.status, seen.failure, b"".join(seen.chunks)) == (200, None, b"ab")
        assert "x-checksum" not in seen.headers


@pytest.mark.parametrize("length", [b"9 \t", b"9999999999999999999"])
def test_length_in_an_odd_form_still_tells_what_is_missing(length: bytes) -> None:
    """A cut body is not taken for a whole one."""
    seen = fed([b"HTTP/1.1 200 OK\r\ncontent-length: " + length + b"\r\n\r\nab"])
    assert seen.failure is not None


def test_long_body_in_the_piece_in_which_the_head_ends() -> None:
    """Only what is no body counts as head."""
    body = b"x" * 256 * 1024
    said = response(body)
    seen = fed([said[:20], said[20:]])
    assert (seen.failure, b"".join(seen.chunks)) == (None, body)


# ── a connection fed byte by byte ────────────────────────────────────────────────────────────


class _Wire(asyncio.Transport):
    """Takes everything, says nothing: what comes back is fed by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


def fed(pieces: list[bytes]) -> Exchange:
    """What a request came to whose connection said these pieces and ended."""

    async def main() -> Exchange:
        freed: list[Connection] = []
        connection = Connection(LimitsConfig(), BatchedWakeups(), freed.append, freed.append)
        wire = _Wire()
        connection.connection_made(wire)
        waiter = connection.send(
            EncodedRequest(b"x", 1e18, closes=False), ExchangeRecorder(LimitsConfig())
        )
        for piece in pieces:
            if not wire.closed:
                connection.data_received(piece)
        connection.connection_lost(None)
        return await asyncio.wait_for(waiter, 10)

    return asyncio.run(main())


def _cut(data: bytes, at: list[int]) -> list[bytes]:
    borders = sorted({0, len(data), *(n % (len(data) + 1) for n in at)})
    return [data[a:b] for a, b in itertools.pairwise(borders)]


@given(
    st.sampled_from([response(), b"".join(chunked(b"data: 1\n\n", b"data: 2\n\n"))]),
    st.lists(st.integers(0, 10_000), max_size=20),
)
def test_any_chunking_is_the_same_response(said: bytes, at: list[int]) -> None:
    """However the network cuts it up."""
    whole, cut = fed([said]), fed(_cut(said, at))
    assert (cut.status, cut.failure, cut.headers) == (200, None, whole.headers)
    assert b"".join(cut.chunks) == b"".join(whole.chunks)
    assert len(cut.times_ns) == len(cut.chunks)


@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_any_bytes_end_in_an_exchange(pieces: list[bytes], headed: bool) -> None:
    """Nothing that a server says leaves a request without an end."""
    seen = fed([b"HTTP/1.1 200 OK\r\n", *pieces] if headed else pieces)
    assert isinstance(seen, Exchange)
    assert seen.failure is None or seen.message


# ── slices ───────────────────────────────────────────────────────────────────────────────────
