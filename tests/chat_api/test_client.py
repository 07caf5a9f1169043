"""The client: where the key goes, and where it never goes; hostile servers end to end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from evalharness.chat_api.client import ChatClient
from evalharness.config.models import Profile
from evalharness.errors import ConfigError
from evalharness.http import Transport
from evalharness.http.redaction import Secret
from evalharness.records import ErrorKind, Outcome, Reply, Status
from tests.http.raw_server import ANSWER, Handler, Peer, RawServer, chunked, response, serving

Opened = Callable[..., Transport]
KEY = "sk-canary-0123456789abcdefghij"
BODY = b'{"messages":[{"content":"hi","role":"user"}],"model":"m"}'
STREAM = b'{"messages":[{"content":"hi","role":"user"}],"model":"m","stream":true}'


def client(transport: Transport, server: RawServer, key: str | None = KEY) -> ChatClient:
    base = server.url.removesuffix("/chat/completions")
    secret = None if key is None else Secret(key)
    return ChatClient(transport, base, key=secret, headers={"X-Team": "a"}, profile=Profile())


async def ask(transport: Transport, handler: Handler, body: bytes = BODY) -> Reply:
    async with serving(handler) as server, transport:
        return await client(transport, server).complete(body, "run-1:7.2")


async def test_request_as_it_arrives(opened: Opened) -> None:
    """The path, the bearer key, the client id, the extra headers and the exact body arrive."""
    bodies: list[bytes] = []

    async def handler(peer: Peer) -> None:
        bodies.append(peer.body)
        await peer.say(response())

    async with serving(handler) as server, opened() as transport:
        reply = await client(transport, server).complete(BODY, "run-1:7.2")
        await client(transport, server, key=None).complete(BODY, "x")
    assert (reply.status, reply.text) == (Status.OK, "Hi")
    head = server.requests[0]
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    lower = head.lower()
    assert b"authorization: bearer " + KEY.encode() in lower
    assert b"x-client-request-id: run-1:7.2" in lower
    assert b"x-team: a" in lower
    assert b"content-type: application/json" in lower
    assert bodies == [BODY, BODY]
    assert b"authorization" not in server.requests[1].lower()


async def test_redirect_does_not_carry_the_key(opened: Opened) -> None:
    """A redirect to another origin is an error that names it; the key never arrives there."""

    async def elsewhere(peer: Peer) -> None:
        await peer.say(response())

    async with serving(elsewhere) as other:

        async def handler(peer: Peer) -> None:
            place = f"location: {other.url}\r\n".encode()
            await peer.say(response(b"", status="308 Permanent Redirect", head=place))

        reply = await ask(opened(), handler)
    assert (reply.error_kind, reply.outcome) == (ErrorKind.REDIRECT, Outcome.REJECTED)
    assert other.url.removesuffix("/v1/chat/completions") in (reply.error_message or "")
    assert other.connections == 0


async def test_echoed_key_is_masked(opened: Opened) -> None:
    """A server that echoes every header leaves the key nowhere in the reply."""

    async def handler(peer: Peer) -> None:
        echo = json.dumps({"error": {"message": peer.head.decode()}}).encode()
        await peer.say(
            response(echo, status="401 No", head=b"x-request-id: " + KEY.encode() + b"\r\n")
        )

    reply = await ask(opened(), handler)
    assert reply.error_kind is ErrorKind.UNAUTHORIZED
    assert "[redacted]" in (reply.error_message or "")
    assert KEY not in msgspec.json.encode(reply).decode()


def event(content: str, finish: str | None = None) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode()


async def test_stream_split_everywhere(opened: Opened) -> None:
    """BOM, comments, CR, LF and CRLF, characters cut by chunk borders: one byte a chunk."""
    stream = b"\xef\xbb\xbf: hi\r\n\r" + event("Grü") + b"\r\r\n" + event("ße 🙂", "stop") + b"\n\n"
    stream += b'data: {"choices":[],\rdata: "usage":{"prompt_tokens":3}}\r\n\r\ndata: [DONE]\n\n'

    async def handler(peer: Peer) -> None:
        await peer.say(*chunked(*[stream[at : at + 1] for at in range(len(stream))]))

    reply = await ask(opened(), handler, STREAM)
    assert (reply.status, reply.text) == (Status.OK, "Grüße 🙂")
    assert reply.usage.prompt_tokens == 3
    assert reply.ttft_s is not None
    assert reply.latency_s is not None
    assert 0 < reply.ttft_s <= reply.latency_s


@pytest.mark.parametrize(("n", "ok"), [(None, True), (1, True), (2, False)])
async def test_only_choices_that_were_asked_for_have_to_end(
    opened: Opened, n: int | None, ok: bool
) -> None:
    """What a request asks for is read from its body."""
    stream = event("Hi", "stop") + b"\n\n" + event("Hey").replace(b'"index": 0', b'"index": 1')
    fields = json.loads(STREAM) | ({} if n is None else {"n": n})
    body = json.dumps(fields, separators=(",", ":")).encode()
    reply = await ask(opened(), saying(*chunked(stream + b"\n\ndata: [DONE]\n\n")), body)
    assert (reply.status is Status.OK) == ok


def saying(*parts: bytes, reset: bool = False) -> Handler:
    async def handler(peer: Peer) -> None:
        await peer.say(*parts)
        if reset:
            await asyncio.sleep(0.05)
            peer.reset()
        else:
            peer.writer.close()

    return handler


HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"
HOSTILE: dict[str, tuple[Handler, ErrorKind]] = {
    "html": (saying(response(b"<html>hi</html>", kind="text/html")), ErrorKind.NOT_JSON),
    "truncated JSON": (saying(response(ANSWER[:-9])), ErrorKind.NOT_JSON),
    "no choices": (saying(response(b'{"choices":[]}')), ErrorKind.BAD_RESPONSE),
    "deep": (saying(response(b'{"choices":' + b"[" * 500_000)), ErrorKind.NOT_JSON),
    "64 MiB": (saying(HEAD + b"\r\n", *[b"x" * 2**20] * 64), ErrorKind.TOO_LARGE),
    "gzip": (
        saying(response(b"\x1f\x8b", head=b"content-encoding: gzip\r\n")),
        ErrorKind.BAD_ENCODING,
    ),
    "reset before headers": (saying(reset=True), ErrorKind.CONNECTION_LOST),
    "reset after headers": (
        saying(HEAD + b"content-length: 9\r\n\r\n", reset=True),
        ErrorKind.CONNECTION_LOST,
    ),
    "cut stream": (saying(*chunked(event("par") + b"\n\n")), ErrorKind.STREAM_CUT),
    "cut in a character": (
        saying(*chunked(event("par") + b"\n\n" + event("ü", "stop")[:-30], end=False)),
        ErrorKind.CONNECTION_LOST,
    ),
    "error in stream": (
        saying(*chunked(event("par") + b'\n\ndata: {"error":{"message":"m"}}\n\n')),
        ErrorKind.STREAM_ERROR,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("body", [BODY, STREAM])
async def test_hostile_server(opened: Opened, name: str, body: bytes) -> None:
    """Each hostile answer becomes one classified reply in doubt, without a text."""
    handler, kind = HOSTILE[name]
    reply = await ask(opened(), handler, body)
    assert (reply.error_kind, reply.outcome) == (kind, Outcome.IN_DOUBT)
    assert (reply.status, reply.text) == (Status.ERROR, None)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://api.example.com/v1", KEY),
        ("http://10.0.0.1/v1", KEY),
        ("http://model.localhost/v1", KEY),
        ("ftp://127.0.0.1/v1", None),
        ("127.0.0.1:80", None),
        ("", None),
        ("http://[::1/v1", None),
        ("http://127.0.0.1:99999/", None),
        ("https://user:sk-canary-pass@api.example.com/v1", None),
        ("https://api.example.com/v1?x=1", None),
        ("https://api.example.com/v1", "sk-canary\n-0123456789"),
        ("https://api.example.com/v1", "sk-canary-ü"),
        ("https://api.example.com/v1", ""),
    ],
)
def test_endpoint_that_is_refused(opened: Opened, url: str, key: str | None) -> None:
    """An unusable URL, an unencrypted way for a key, a broken key: refused, key not shown."""
    secret = None if key is None else Secret(key)
    with pytest.raises(ConfigError) as caught:
        ChatClient(opened(), url, key=secret, headers={}, profile=Profile())
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://localhost:1/v1/", "http://127.0.0.9/v1", "http://[::1]:5"])
def test_key_may_stay_on_this_machine(opened: Opened, url: str) -> None:
    """A key may go unencrypted to loopback; without a key http goes anywhere."""
    ChatClient(opened(), url, key=Secret(KEY), headers={}, profile=Profile())
    ChatClient(opened(), "http://10.0.0.1/v1", key=None, headers={}, profile=Profile())
    with pytest.raises(ConfigError, match="would send the key unencrypted"):
        ChatClient(opened(), "http://10.0.0.1/v1", key=Secret(KEY), headers={}, profile=Profile())


@pytest.mark.parametrize(
    "headers", [{"Authorization": "x"}, {"Content-Length": "1"}, {"a b": "x"}, {"a": "x\r\ny: z"}]
)
def test_headers_that_are_refused(opened: Opened, headers: dict[str, str]) -> None:
    """Headers that would replace the client's own, or smuggle one, are refused."""
    with pytest.raises(ConfigError):
        ChatClient(opened(), "https://a.b/v1", key=Secret(KEY), headers=headers, profile=Profile())


async def test_an_endpoint_with_its_own_header_query_and_path(opened: Opened) -> None:
    """The key in a header of its own, further secrets, the query, and the model in the path."""
    gateway = "Token canary-gateway-0123456789"

    async def handler(peer: Peer) -> None:
        echo = {"error": {"message": f"{peer.head.decode()} and canary-gateway-0123456789"}}
        await peer.say(response(json.dumps(echo).encode(), status="401 No"))

    async with serving(handler) as server, opened() as transport:
        origin = server.url.removesuffix("/v1/chat/completions")
        chat = ChatClient(
            transport, f"{origin}/openai/deployments/{{model}}", key=Secret(KEY), headers={},
            profile=Profile(), auth="header:api-key", query={"api-version": "2024-10-21", "a": "b c"},
            secret_headers={"X-Gateway": Secret(gateway)},
        )  # fmt: skip
        reply = await chat.complete(BODY.replace(b'"m"', b'"gpt 4/o"'), "x")
    head = server.requests[0].decode()
    path = "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21&a=b+c"
    assert head.startswith(f"POST {path} HTTP/1.1\r\n")
    assert f"api-key: {KEY}" in head.replace("Api-Key", "api-key")
    assert f"x-gateway: {gateway}".lower() in head.lower()
    assert "authorization" not in head.lower()
    assert "[redacted]" in (reply.error_message or "")
    stored = msgspec.json.encode(reply).decode()
    assert KEY not in stored
    assert "canary-gateway" not in stored


def test_secrets_go_unencrypted_only_where_that_is_allowed(opened: Opened) -> None:
    """To another machine over plain http: nothing secret, unless the configuration says so."""
    url = "http://10.0.0.1/v1"
    ways: list[dict[str, Any]] = [
        {"key": Secret(KEY)},
        {"key": None, "secret_headers": {"X-Gateway": Secret(KEY)}},
    ]
    for way in ways:
        with pytest.raises(ConfigError) as caught:
            ChatClient(opened(), url, headers={}, profile=Profile(), **way)
        assert "provider.allow_plain_http=true" in str(caught.value.hint)
        ChatClient(opened(), url, headers={}, profile=Profile(), allow_plain_http=True, **way)


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "ü", "a\n"])
async def test_client_id_form(opened: Opened, name: str) -> None:
    """An id the provider would silently drop is not sent."""
    chat = ChatClient(opened(), "http://127.0.0.1/v1", key=None, headers={}, profile=Profile())
    with pytest.raises(ValueError, match="client request id"):
        await chat.complete(BODY, name)
