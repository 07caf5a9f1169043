"""The contract of a transport, over real sockets, for every implementation and event loop."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Callable

import httpx
import pytest

from evalharness.http import Exchange, Transport, open_transport
from evalharness.http.reqwest_transport import ReqwestTransport
from evalharness.records import ErrorKind
from tests.http.conftest import Serve
from tests.http.raw_server import ANSWER, Peer, chunked, limits, response, serving

Opened = Callable[..., Transport]
BODY = b'{"messages":[{"content":"hi","role":"user"}],"model":"m"}'
STREAM = b'{"messages":[{"content":"hi","role":"user"}],"model":"m","stream":true}'


async def post(transport: Transport, url: str, body: bytes = BODY) -> Exchange:
    async with transport:
        return await transport.post(url, {"content-type": "application/json"}, body)


async def test_whole_response(opened: Opened, serve: Serve) -> None:
    """Status, headers, body and times of a plain answer are observed; the body goes out exactly."""

    async def handler(peer: Peer) -> None:
        await peer.say(response(peer.body, head=b"X-A: 1\r\nx-a: 2\r\n"))

    async with serve(handler) as server:
        seen = await post(opened(), server.url)
    assert (seen.status, seen.failure) == (200, None)
    assert b"".join(seen.chunks) == BODY
    assert seen.headers["x-a"] == "1, 2"
    assert len(seen.times_ns) == len(seen.chunks)
    assert seen.headers_s is not None
    assert seen.latency_s is not None
    assert 0 <= seen.headers_s <= seen.times_ns[-1] / 1e9 <= seen.latency_s
    head = server.requests[0].lower()
    assert b"accept-encoding: identity" in head
    assert b"content-length: %d" % len(BODY) in head
    assert b"x-client-request-id" not in head


async def test_request_id(opened: Opened, serve: Serve) -> None:
    """Each request says its own id beside the headers that all have in common."""

    async def handler(peer: Peer) -> None:
        await peer.say(response())

    async with serve(handler) as server, opened() as transport:
        for body in (BODY, STREAM):
            for number in range(2):
                await transport.post(server.url, {"x-a": "1"}, body, f"one-{number}")
    heads = [request.lower() for request in server.requests]
    assert [head.count(b"x-a: 1\r\n") for head in heads] == [1] * 4
    ids = [f"x-client-request-id: one-{n}\r\n".encode() in head for n, head in enumerate(heads[:2])]
    assert ids == [True, True]
    assert [head.count(b"x-client-request-id") for head in heads] == [1] * 4


async def test_stream_chunks_have_own_times(opened: Opened, serve: Serve) -> None:
    """Pieces of a stream are observed as they come, not all at its end."""
    pieces = [b"data: %d\n\n" % n for n in range(20)]

    async def handler(peer: Peer) -> None:
        for part in chunked(*pieces):
            await peer.say(part)
            await asyncio.sleep(0.01)  # a server that speaks slowly

    async with serve(handler) as server:
        seen = await post(opened(), server.url, STREAM)
    assert b"".join(seen.chunks) == b"".join(pieces)
    assert len(set(seen.times_ns)) > 1
    assert seen.times_ns == sorted(seen.times_ns)
    assert seen.headers_s is not None
    assert seen.headers_s * 1e9 <= seen.times_ns[0]


async def test_connections_are_kept(opened: Opened, serve: Serve) -> None:
    """Requests one after the other share a connection."""

    async def handler(peer: Peer) -> None:
        await peer.say(response())

    async with serve(handler) as server, opened(concurrency=1) as transport:
        for _ in range(20):
            assert (await transport.post(server.url, {}, BODY)).failure is None
    assert server.connections == 1
    assert len(server.requests) == 20


async def test_streams_over_plain_http_end_their_connection(opened: Opened) -> None:
    """A server that drops the connection some time after a stream costs no request."""

    async def handler(peer: Peer) -> None:
        await peer.say(*chunked(b"data: 1\n\n"))
        await asyncio.sleep(0.001)  # as llama.cpp does: unannounced, a moment later
        peer.writer.close()

    async with serving(handler) as server, opened(concurrency=1) as transport:
        seen = [await transport.post(server.url, {}, STREAM) for _ in range(40)]
    assert {one.failure for one in seen} == {None}


async def test_as_many_connections_as_concurrency(opened: Opened, serve: Serve) -> None:
    """With concurrency 150, 150 requests are in flight at once: no hidden cap at 100."""
    arrived = 0
    everybody = asyncio.Event()

    async def handler(peer: Peer) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 150:
            everybody.set()
        await asyncio.wait_for(everybody.wait(), 30)
        await peer.say(response())

    async with serve(handler) as server, opened(concurrency=150) as transport:
        seen = await asyncio.gather(*[transport.post(server.url, {}, BODY) for _ in range(150)])
    assert {one.failure for one in seen} == {None}


async def test_never_more_connections_than_concurrency(opened: Opened, serve: Serve) -> None:
    """Posts beyond the concurrency wait for a connection instead of opening more.

    reqwest may give a connection back a moment after the next request looked for one.
    """
    answering: list[int] = [0]

    async def handler(peer: Peer) -> None:
        answering.append(answering[-1] + 1)
        await peer.say(response())
        answering.append(answering[-1] - 1)

    async with serve(handler) as server, opened(concurrency=3) as transport:
        seen = await asyncio.gather(*[transport.post(server.url, {}, BODY) for _ in range(30)])
    assert {one.failure for one in seen} == {None}
    assert max(answering) <= 3
    assert server.connections <= 3 + 3 * isinstance(transport, ReqwestTransport)


async def test_redirect_is_not_followed(opened: Opened, serve: Serve) -> None:
    """A redirect is an answer: nothing is sent to its target."""

    async def elsewhere(peer: Peer) -> None:
        await peer.say(response())

    async with serve(elsewhere) as target:

        async def handler(peer: Peer) -> None:
            place = b"location: " + target.url.encode() + b"\r\n"
            await peer.say(response(b"", status="307 Temporary Redirect", head=place))

        async with serve(handler) as server:
            seen = await post(opened(), server.url)
    assert (seen.status, seen.failure) == (307, None)
    assert target.connections == 0


@pytest.mark.parametrize(
    ("said", "reset", "failure", "status"),
    [
        (b"", False, ErrorKind.CONNECTION_LOST, None),
        (b"", True, ErrorKind.CONNECTION_LOST, None),
        (b"HTTP/1.1 200", False, ErrorKind.CONNECTION_LOST, None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", False, ErrorKind.CONNECTION_LOST, 200),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", True, ErrorKind.CONNECTION_LOST, 200),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
            False,
            ErrorKind.CONNECTION_LOST,
            200,
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab",
            False,
            ErrorKind.CONNECTION_LOST,
            200,
        ),
        (b"good morning\r\n\r\n", False, ErrorKind.BAD_RESPONSE, None),
    ],
)
async def test_broken_responses(
    opened: Opened, serve: Serve, said: bytes, reset: bool, failure: ErrorKind, status: int | None
) -> None:
    """A connection that breaks at any point is a classified exchange, never an exception."""

    async def handler(peer: Peer) -> None:
        await peer.say(said)
        if reset and said:
            # Data that is still on its way would be discarded by the reset.
            await asyncio.sleep(0.05)
        peer.reset() if reset else peer.writer.close()

    async with serve(handler) as server:
        seen = await post(opened(), server.url, STREAM)
    assert seen.failure is failure
    assert seen.status == status
    assert seen.reached


async def test_refused_connection(opened: Opened) -> None:
    """Nobody listening: the request was not sent, and the kind says so."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seen = await post(opened(), f"http://127.0.0.1:{port}/")
    assert seen.failure is ErrorKind.CONNECT
    assert not seen.reached


async def test_unknown_host(opened: Opened) -> None:
    """A name that does not resolve is a DNS failure; nothing was sent."""
    seen = await post(opened(), "http://no-such-host.invalid/")
    assert seen.failure is ErrorKind.DNS
    assert not seen.reached


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "ftp://127.0.0.1/", "http://"])
async def test_unusable_url(opened: Opened, url: str) -> None:
    """A URL nothing can be sent to is a failure like any other."""
    seen = await post(opened(), url)
    assert seen.failure is ErrorKind.BAD_URL
    assert not seen.reached


async def test_connect_timeout(opened: Opened) -> None:
    """A listener whose queue is full lets the connect limit pass: not sent."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting: list[socket.socket] = []
        try:
            for _ in range(4):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(full.getsockname())
                waiting.append(one)
            url = f"http://127.0.0.1:{full.getsockname()[1]}/"
            seen = await post(opened(timeout_connect_s=0.3), url)
        finally:
            for one in waiting:
                one.close()
    assert seen.failure is ErrorKind.CONNECT_TIMEOUT
    assert not seen.reached


@pytest.mark.parametrize("body", [BODY, STREAM])
async def test_first_byte_timeout(opened: Opened, serve: Serve, body: bytes) -> None:
    """A server that takes the request and stays silent runs into the first-byte limit."""
    async with serve(Peer.wait_closed) as server:
        seen = await post(opened(timeout_first_byte_s=0.2), server.url, body)
    assert seen.failure is ErrorKind.FIRST_BYTE_TIMEOUT
    assert seen.reached


@pytest.mark.parametrize("body", [BODY, STREAM])
async def test_stall_timeout(opened: Opened, serve: Serve, body: bytes) -> None:
    """A response that stops in the middle runs into the stall limit; what came is kept."""

    async def handler(peer: Peer) -> None:
        await peer.say(*chunked(b"data: 1\n\n", end=False))
        await peer.wait_closed()

    async with serve(handler) as server:
        seen = await post(opened(timeout_stall_s=0.2), server.url, body)
    assert seen.failure is ErrorKind.STALL_TIMEOUT
    assert b"".join(seen.chunks) == b"data: 1\n\n"


@pytest.mark.parametrize("body", [BODY, STREAM])
async def test_slow_drip_meets_the_total_limit(opened: Opened, serve: Serve, body: bytes) -> None:
    """Bytes that keep coming never pass the total limit, however often they come."""

    async def handler(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while not peer.writer.is_closing():
            await peer.say(b" ")
            await asyncio.sleep(0.01)

    async with serve(handler) as server:
        seen = await post(opened(timeout_total_s=1, timeout_stall_s=5), server.url, body)
    assert seen.failure is ErrorKind.TOTAL_TIMEOUT
    assert seen.chunks


async def test_slow_head_meets_the_total_limit(opened: Opened, serve: Serve) -> None:
    """The total limit also holds while response headers drip in."""

    async def handler(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\nx: ")
        while not peer.writer.is_closing():
            await peer.say(b"a")
            await asyncio.sleep(0.01)

    async with serve(handler) as server:
        seen = await post(opened(timeout_total_s=0.3), server.url)
    assert seen.failure is ErrorKind.TOTAL_TIMEOUT


async def test_write_timeout(opened: Opened, serve: Serve) -> None:
    """A server that reads nothing of a long request runs into the write limit: not sent."""

    async def handler(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(30)

    body = b'{"x":"' + b"a" * 32_000_000 + b'"}'
    async with serve(handler, each_request=False) as server:
        seen = await post(opened(timeout_write_s=0.3), server.url, body)
    assert seen.failure is ErrorKind.WRITE_TIMEOUT
    assert not seen.reached


async def test_long_body_arrives_whole(opened: Opened, serve: Serve) -> None:
    """A body sent in pieces is the same bytes, with its length announced."""
    got: list[bytes] = []

    async def handler(peer: Peer) -> None:
        got.append(peer.body)
        await peer.say(response())

    body = b'{"x":"' + bytes(range(97, 123)) * 50_000 + b'"}'
    async with serve(handler) as server:
        seen = await post(opened(), server.url, body)
    assert seen.failure is None
    assert got == [body]
    assert b"transfer-encoding" not in server.requests[0].lower()


@pytest.mark.parametrize("announced", [True, False])
async def test_response_over_the_limit(opened: Opened, serve: Serve, announced: bool) -> None:
    """64 MiB, announced or not, stop at the limit; no more than the limit is held."""

    async def handler(peer: Peer) -> None:
        size = 64 * 1024 * 1024
        if announced:
            await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        else:
            await peer.say(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        for _ in range(size // 65536):
            await peer.say(b"x" * 65536)
        peer.writer.close()

    async with serve(handler) as server:
        seen = await post(opened(max_response_mib=1), server.url)
    assert seen.failure is ErrorKind.TOO_LARGE
    assert sum(map(len, seen.chunks)) <= 1024 * 1024


async def test_other_encodings_are_not_inflated(opened: Opened, serve: Serve) -> None:
    """A gzip bomb stays the few bytes it is on the wire."""
    bomb = gzip.compress(b"0" * 50_000_000)

    async def handler(peer: Peer) -> None:
        await peer.say(response(bomb, head=b"Content-Encoding: gzip\r\n"))

    async with serve(handler) as server:
        seen = await post(opened(), server.url)
    assert seen.failure is ErrorKind.BAD_ENCODING
    assert sum(map(len, seen.chunks)) <= len(bomb)


async def test_header_that_is_no_text(opened: Opened, serve: Serve) -> None:
    """A header in no known encoding does not cost the answer."""

    async def handler(peer: Peer) -> None:
        await peer.say(response(head=b"x-odd: \xff\xfe\r\nx-good: 1\r\n"))

    async with serve(handler) as server:
        seen = await post(opened(), server.url)
    assert seen.failure is None
    assert b"".join(seen.chunks) == ANSWER
    assert seen.headers["x-good"] == "1"


@pytest.mark.parametrize("body", [BODY, STREAM])
@pytest.mark.parametrize("announce", [True, False])
async def test_server_that_closes_after_each_answer(
    opened: Opened, serve: Serve, body: bytes, announce: bool
) -> None:
    """A server that closes after every answer, announced or not, costs no request."""

    async def handler(peer: Peer) -> None:
        head = b"connection: close\r\n" if announce else b""
        if peer.body == STREAM:
            said = b"".join(chunked(b"data: 1\n\n"))
            await peer.say(said.replace(b"\r\n\r\n", b"\r\n" + head + b"\r\n", 1))
        else:
            await peer.say(response(head=head))
        peer.writer.close()

    async with serve(handler) as server, opened(concurrency=1) as transport:
        failures = []
        for _ in range(12):
            seen = await transport.post(server.url, {}, body)
            failures.append(seen.failure)
            await asyncio.sleep(0.02)  # a pause in which the end of the connection arrives
    assert failures == [None] * 12


async def test_cancellation_passes(opened: Opened, serve: Serve) -> None:
    """Cancelling the task is the one thing that leaves post() as an exception."""
    async with serve(Peer.wait_closed) as server, opened() as transport:
        task = asyncio.create_task(transport.post(server.url, {}, BODY))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("more", [b"hello", response(b"not asked for"), b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize("apart", [True, False])
async def test_server_that_says_more_than_it_was_asked(
    opened: Opened, serve: Serve, more: bytes, apart: bool
) -> None:
    """Nothing of it becomes part of the next answer."""

    async def handler(peer: Peer) -> None:
        if apart:
            await peer.say(response(peer.body))
            await asyncio.sleep(0.01)
            await peer.say(more)
        else:
            await peer.say(response(peer.body) + more)

    async with serve(handler) as server, opened(concurrency=1) as transport:
        for n in range(4):
            body = b'{"n":%d}' % n
            seen = await transport.post(server.url, {}, body)
            assert (seen.failure, b"".join(seen.chunks)) == (None, body)
            if apart:
                await asyncio.sleep(0.03)  # for the rest to arrive


async def test_no_cookies_are_kept(opened: Opened, serve: Serve) -> None:
    """A request does not depend on the answers before it."""

    async def handler(peer: Peer) -> None:
        await peer.say(response(head=b"set-cookie: session=1; path=/\r\n"))

    async with serve(handler) as server, opened(concurrency=1) as transport:
        for _ in range(3):
            assert (await transport.post(server.url, {}, BODY)).failure is None
    assert not any(b"cookie" in head.lower() for head in server.requests)


@pytest.mark.parametrize("trusted", [True, False])
async def test_environment_proxies(
    kind: str, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy named by the environment is used only when asked for."""

    async def handler(peer: Peer) -> None:
        await peer.say(response())

    async with serving(handler) as proxy, serving(handler) as server:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1/chat/completions"))
        transport = open_transport(kind, limits(trust_env_proxies=trusted))  # type: ignore[arg-type]
        seen = await post(transport, server.url)
    assert seen.failure is None
    assert (len(proxy.requests), len(server.requests)) == ((1, 0) if trusted else (0, 1))


async def test_httpx_takes_any_transport_and_auth() -> None:
    """What httpx can be given works below the seam: a mock transport and an auth class."""

    class Signed(httpx.Auth):
        def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]
            request.headers["x-signed"] = "yes"
            yield request

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=request.headers["x-signed"].encode() + request.content)

    mock = httpx.MockTransport(answer)
    transport = open_transport("httpx", limits(), httpx_transport=mock, httpx_auth=Signed())
    seen = await post(transport, "http://example.invalid/")
    assert b"".join(seen.chunks) == b"yes" + BODY


async def test_failing_httpx_transport_is_an_exchange() -> None:
    """Whatever a given transport raises becomes an exchange in doubt."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise RuntimeError("out of order")

    transport = open_transport("httpx", limits(), httpx_transport=httpx.MockTransport(broken))
    seen = await post(transport, "http://example.invalid/")
    assert seen.failure is ErrorKind.CONNECTION_LOST
    assert seen.reached
    assert seen.message == "out of order"
