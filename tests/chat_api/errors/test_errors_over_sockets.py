"""Errors as they come over real sockets, on every transport: one classified row, and the next."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from evalharness.http import Transport
from evalharness.records import ErrorKind, Outcome, Status
from tests.chat_api.test_client import BODY, STREAM, ask, client, event
from tests.http.raw_server import Peer, chunked, response, serving

Opened = Callable[..., Transport]
LENGTH = b'{"code":400,"message":"the request exceeds the context size","type":"too_long"}'


@pytest.mark.parametrize(
    "status",
    [204, 205, 300, 304, 305, 306, 399, 402, 418, 420, 444, 451, 498, 499, 520, 529, 599, 600, 999],
)
async def test_an_odd_status_is_one_error_and_the_next_request_goes_on(
    opened: Opened, status: int
) -> None:
    """With or without a body; what follows on the endpoint is answered as ever."""
    bodiless = status in (204, 205, 304)
    replies = [response(status=f"{status} Odd", body=b"" if bodiless else b'{"error":"odd one"}')]
    if status in (204, 304):  # neither has a body, whatever they announce
        replies.append(b"HTTP/1.1 %d Odd\r\n\r\n" % status)

    for odd in replies:
        turn = 0

        async def handler(peer: Peer, odd: bytes = odd) -> None:
            nonlocal turn
            turn += 1
            await peer.say(odd if turn == 2 else response())

        async with serving(handler) as server, opened(concurrency=1) as transport:
            harness = client(transport, server)
            seen = [await harness.complete(BODY, f"r-{n}") for n in range(3)]
        assert [reply.status for reply in seen] == [Status.OK, Status.ERROR, Status.OK]
        assert seen[1].http_status == status
        assert seen[1].error_kind is not ErrorKind.REDIRECT
        assert bodiless or "odd one" in (seen[1].error_message or "")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_one_on_every_transport(opened: Opened, status: int) -> None:
    """Its target is named and gets nothing."""

    async def handler(peer: Peer) -> None:
        place = b"location: https://elsewhere.example/v1?a=b\r\n"
        await peer.say(response(b"", status=f"{status} Moved", head=place))

    reply = await ask(opened(), handler)
    assert (reply.error_kind, reply.http_status) == (ErrorKind.REDIRECT, status)
    assert "https://elsewhere.example" in (reply.error_message or "")


@pytest.mark.parametrize("text", [b"", event("half ") + b"\n\n"], ids=["first", "after text"])
@pytest.mark.parametrize(
    "error",
    [
        b"error: " + LENGTH + b"\n\ndata: [DONE]\n\n",
        LENGTH + b"\n",
        b'{"error":' + LENGTH + b"}",
        b"data: " + LENGTH + b"\n\n",
        b'event: error\ndata: {"error":' + LENGTH + b"}\n\n",
    ],
    ids=["field", "bare", "bare and cut", "data", "event"],
)
async def test_a_length_error_in_a_stream_is_final(
    opened: Opened, text: bytes, error: bytes
) -> None:
    """Wherever in a 200 it stands, its words are read; after some text it may have been billed."""

    async def handler(peer: Peer) -> None:
        stream = text + error
        await peer.say(*chunked(stream[:9], stream[9:20], stream[20:]))

    reply = await ask(opened(), handler, STREAM)
    assert (reply.status, reply.error_kind) == (Status.ERROR, ErrorKind.BAD_REQUEST)
    assert "exceeds the context size" in (reply.error_message or "")
    assert reply.outcome is (Outcome.IN_DOUBT if text else Outcome.REJECTED)


async def test_a_filter_s_refusal_and_a_wait_in_a_body(opened: Opened) -> None:
    """A 400 of a content filter, and a 429 whose body says how long to wait."""
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.25s"}
    bodies = [
        (400, {"error": {"code": "content_filter", "message": "filtered"}}),
        (429, [{"error": {"code": 429, "message": "later", "details": [info]}}]),
    ]

    async def handler(peer: Peer) -> None:
        status, body = bodies[len(server.requests) - 1]
        await peer.say(response(json.dumps(body).encode(), status=f"{status} No"))

    async with serving(handler) as server, opened(concurrency=1) as transport:
        harness = client(transport, server)
        refusal, limited = [await harness.complete(BODY, f"r-{n}") for n in range(2)]
    assert (refusal.status, refusal.http_status) == (Status.REFUSED, 400)
    assert (limited.error_kind, limited.retry_after_s) == (ErrorKind.RATE_LIMITED, 0.25)
