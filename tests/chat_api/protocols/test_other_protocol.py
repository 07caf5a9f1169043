"""A server that speaks another protocol than it is asked in: a failure that says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalharness.chat_api.client import ChatClient
from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.response import interpret
from evalharness.config.models import Profile, ProtocolName
from evalharness.http import Exchange, Transport
from evalharness.records import ErrorKind, Outcome, Usage
from tests.chat_api.protocols.messages.samples import events as message_events
from tests.chat_api.protocols.messages.samples import message
from tests.chat_api.protocols.messages.samples import sse as message_stream
from tests.chat_api.protocols.responses.samples import ALL_EVENTS, response
from tests.chat_api.protocols.responses.samples import events as response_events
from tests.chat_api.test_client import BODY, Opened
from tests.http.raw_server import Peer, serving
from tests.http.raw_server import response as http_response

FOREIGN: list[tuple[ProtocolName, dict[str, Any], str]] = [
    ("chat", message(), "messages"),
    ("chat", response(), "responses"),
    ("responses", message(), "messages"),
    ("messages", response(), "responses"),
]


@pytest.mark.parametrize(("asked", "body", "other"), FOREIGN)
def test_an_answer_in_the_form_of_another_protocol(
    asked: ProtocolName, body: dict[str, Any], other: str
) -> None:
    """It is no empty answer. It was billed, so it is in doubt, with its body and its tokens."""
    sent = [json.dumps(body).encode()]
    exchange = Exchange(sent_at_ns=1, status=200, chunks=sent, times_ns=[5], latency_s=0.1)
    reply = interpret(exchange, streamed=False, protocol=get_protocol(asked))
    assert (reply.error_kind, reply.outcome) == (ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT)
    assert f"provider.protocol={other} reads it" in (reply.error_message or "")
    assert reply.text is None
    assert json.loads(reply.response_json or "") == body
    assert reply.usage not in (None, Usage())


CHAT_STREAM = (
    b'data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":'
    b'{"content":"Paris"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
FOREIGN_STREAMS: list[tuple[ProtocolName, bytes, str]] = [
    ("responses", CHAT_STREAM, "chat"),
    ("messages", CHAT_STREAM, "chat"),
    ("chat", message_stream(message_events(message())), "messages"),
    ("chat", b"".join(response_events(*ALL_EVENTS)), "responses"),
    ("messages", b"".join(response_events(*ALL_EVENTS)), "responses"),
]


@pytest.mark.parametrize(("asked", "body", "other"), FOREIGN_STREAMS)
def test_a_stream_in_the_form_of_another_protocol(
    asked: ProtocolName, body: bytes, other: str
) -> None:
    """No answer, and the word to type."""
    exchange = Exchange(sent_at_ns=1, status=200, chunks=[body], times_ns=[5], latency_s=0.1)
    exchange.headers["content-type"] = "text/event-stream"
    reply = interpret(exchange, streamed=True, protocol=get_protocol(asked))
    assert reply.outcome is Outcome.IN_DOUBT
    assert f"its events are those of provider.protocol={other}" in (reply.error_message or "")
    assert reply.text is None


@pytest.mark.parametrize(
    ("protocol", "said", "advised"),
    [
        ("messages", "Not Found", "the server may not have the Messages API: provider.protocol="),
        ("responses", "Not Found", "the server may not have the Responses API"),
        ("messages", "model: claude-9", None),
        ("chat", "Not Found", None),
    ],
)
async def test_an_address_that_the_server_does_not_know(
    opened: Opened, protocol: ProtocolName, said: str, advised: str | None
) -> None:
    """What may be the reason is said, unless it is the model that is not found."""

    async def handler(peer: Peer) -> None:
        body = json.dumps({"error": {"type": "not_found_error", "message": said}}).encode()
        await peer.say(http_response(body, status="404 Not Found"))

    async with serving(handler) as server, opened() as transport:
        reply = await _client(transport, server.url, protocol).complete(BODY, "x")
    shown = reply.error_message or ""
    assert shown.startswith(f"HTTP 404: {said}")
    assert advised is None or advised in shown
    assert ("→" in shown) == (advised is not None)


def _client(transport: Transport, url: str, protocol: ProtocolName) -> ChatClient:
    base = url.removesuffix("/chat/completions")
    return ChatClient(
        transport, base, key=None, headers={}, profile=Profile(), protocol=get_protocol(protocol)
    )
