"""TLS as every transport speaks it: who is trusted, what is shown, and how connections end."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from evalharness.errors import ConfigError
from evalharness.http import Exchange, TlsSettings, Transport, open_transport
from evalharness.http.certificates import client_context
from evalharness.records import ErrorKind
from tests.http.raw_server import ANSWER, Peer, limits, response, serving

Opened = Callable[..., Transport]
BODY = b'{"model":"m"}'
NOBODY = TlsSettings()


async def answer(peer: Peer) -> None:
    """Say the usual answer."""
    await peer.say(response())


async def post(transport: Transport, url: str) -> Exchange:
    async with transport:
        return await transport.post(url, {}, BODY)


# ── the server's certificate ─────────────────────────────────────────────────────────────────


async def test_untrusted_certificate(opened: Opened, server_tls: ssl.SSLContext) -> None:
    """It ends the connection before anything is sent; the message says what to set."""
    async with serving(answer, tls=server_tls) as server:
        seen = await post(opened(NOBODY), server.url)
    assert (seen.failure, seen.reached) == (ErrorKind.TLS, False)
    assert server.requests == []
    assert seen.message is not None
    assert "provider.ca_file" in seen.message
    assert "SSL_CERT_FILE" in seen.message
    assert len(seen.message) <= 200  # what a stop shows of it


async def test_variable_that_names_the_authority(
    opened: Opened, server_tls: ssl.SSLContext, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE counts for every transport."""
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    async with serving(answer, tls=server_tls) as server:
        seen = await post(opened(NOBODY), server.url)
    assert (seen.failure, b"".join(seen.chunks)) == (None, ANSWER)


@pytest.mark.parametrize("name", ["other.example", "127.0.0.2"])
async def test_certificate_of_another_host(
    opened: Opened, authority: trustme.CA, name: str
) -> None:
    """A certificate of a trusted authority for another name or address is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    async with serving(answer, tls=context) as server:
        seen = await post(opened(), server.url)
    assert (seen.failure, seen.reached, server.requests) == (ErrorKind.TLS, False, [])
    assert "localhost" in str(seen.message)


async def test_address_in_the_certificate(opened: Opened, server_tls: ssl.SSLContext) -> None:
    """A server can be asked by its address where its certificate names that."""
    async with serving(answer, tls=server_tls) as server:
        seen = await post(opened(), server.url.replace("localhost", "127.0.0.1"))
    assert seen.failure is None


async def test_without_verification(opened: Opened, authority: trustme.CA) -> None:
    """verify=False asks a server with any certificate, of anybody and for any name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    async with serving(answer, tls=context) as server:
        seen = await post(opened(TlsSettings(verify=False)), server.url)
    assert (seen.failure, b"".join(seen.chunks)) == (None, ANSWER)


@pytest.fixture(scope="session")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Certificate and key as `openssl req -x509` makes them: self-signed, and CA:TRUE."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("self_signed")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    arguments = ["-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(["openssl", "req", "-x509", *arguments, *names], check=True, capture_output=True)
    return cert, key


async def test_self_signed_certificate(
    kind: str, opened: Opened, self_signed: tuple[str, str]
) -> None:
    """Named as ca_file it is trusted; pyreqwest cannot, and says which transport can."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed)
    async with serving(answer, tls=context) as server:
        refused = await post(opened(NOBODY), server.url)
        seen = await post(opened(TlsSettings(ca_file=self_signed[0])), server.url)
    assert refused.failure is ErrorKind.TLS
    if kind == "reqwest":
        assert seen.failure is ErrorKind.TLS
        assert "transport=auto" in str(seen.message)
    else:
        assert (seen.failure, b"".join(seen.chunks)) == (None, ANSWER)


async def test_certificate_that_has_expired(opened: Opened, authority: trustme.CA) -> None:
    """The reason is said in the library's words."""
    from datetime import UTC, datetime, timedelta

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.now(UTC) - timedelta(days=1)
    authority.issue_cert("localhost", not_after=past).configure_cert(context)
    async with serving(answer, tls=context) as server:
        seen = await post(opened(), server.url)
    assert (seen.failure, seen.reached) == (ErrorKind.TLS, False)
    assert "expired" in str(seen.message).lower()


def _answer_or_alert(peer: socket.socket, context: ssl.SSLContext) -> None:
    wrapped = context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)
    with wrapped as tls:
        try:
            tls.do_handshake()
        except ssl.SSLError:
            # What the client has sent is taken: else the end would be a reset, and lose the alert.
            tls.shutdown(socket.SHUT_WR)
            while socket.socket.recv(tls, 65536):
                pass
            raise
        tls.recv(65536)
        tls.sendall(response(head=b"connection: close\r\n"))
        tls.unwrap()


@asynccontextmanager
async def _alerting(context: ssl.SSLContext) -> AsyncIterator[str]:
    """A server that tells why a handshake failed, which those of the event loops do not."""

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, suppress(OSError):
                _answer_or_alert(peer, context)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"https://localhost:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(thread.join)  # the loop has sockets to close meanwhile


# ── our certificate ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def client_cert(authority: trustme.CA, tmp_path: Path) -> tuple[str, str]:
    """A client's certificate and its key."""
    leaf = authority.issue_cert("client@example.org")
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    for n, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(cert, append=n > 0)
    leaf.private_key_pem.write_to_path(key)
    return str(cert), str(key)


@pytest.mark.parametrize("one_file", [True, False])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_certificate_that_the_server_asks_for(
    opened: Opened,
    authority: trustme.CA,
    ca_file: str,
    client_cert: tuple[str, str],
    version: ssl.TLSVersion,
    one_file: bool,
) -> None:
    """Shown, the request is served; without it the failure is final, and nothing was accepted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    cert, key = client_cert
    if one_file:
        with Path(cert).open("a") as file:
            file.write(Path(key).read_text())
    shown = TlsSettings(ca_file=ca_file, client_cert=cert, client_key=None if one_file else key)
    async with _alerting(context) as url:
        without = await post(opened(), url)
        seen = await post(opened(shown), url)
    assert (seen.failure, b"".join(seen.chunks)) == (None, ANSWER)
    assert (without.failure, without.reached) == (ErrorKind.TLS, False)
    if version is ssl.TLSVersion.TLSv1_3:  # before, an alert did not tell what is missing
        assert "provider.client_cert" in str(without.message)


# ── what is no TLS, and how connections end ──────────────────────────────────────────────────


async def test_server_that_speaks_plain_http(opened: Opened) -> None:
    """https to a port of plain http is a wrong address, not an outage."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(response(b"", status="400 Bad Request"))

    async with _listening(handler) as url:
        seen = await post(opened(), url)
    assert (seen.failure, seen.reached) == (ErrorKind.TLS, False)


async def test_old_version(opened: Opened, authority: trustme.CA) -> None:
    """A server that has nothing newer than TLS 1.1 is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with _alerting(context) as url:
        seen = await post(opened(), url)
    assert (seen.failure, seen.reached) == (ErrorKind.TLS, False)


@asynccontextmanager
async def _listening(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with listener:
        yield f"https://localhost:{listener.sockets[0].getsockname()[1]}/"


async def test_end_in_the_middle_of_the_handshake(opened: Opened) -> None:
    """It may pass: a failure to connect, which is tried again."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)

    async with _listening(handler) as url:
        seen = await post(opened(), url)
    assert (seen.failure, seen.reached) == (ErrorKind.CONNECT, False)


async def test_handshake_that_does_not_end(opened: Opened) -> None:
    """The limit for connecting includes the handshake."""
    ended = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()

    async with _listening(handler) as url:
        seen = await post(opened(timeout_connect_s=0.3), url)
        ended.set()
    assert (seen.failure, seen.reached) == (ErrorKind.CONNECT_TIMEOUT, False)


@pytest.mark.parametrize("in_form", [True, False])
async def test_body_until_the_connection_ends(
    opened: Opened, server_tls: ssl.SSLContext, in_form: bool
) -> None:
    """Without a length only TLS's own end (close_notify) tells a whole body from a cut one."""

    async def handler(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", ANSWER)
        await asyncio.sleep(0.05)  # an abort would drop what the system has not taken
        peer.writer.close() if in_form else peer.writer.transport.abort()

    async with serving(handler, tls=server_tls) as server:
        seen = await post(opened(), server.url)
    assert seen.failure is (None if in_form else ErrorKind.CONNECTION_LOST)
    assert b"".join(seen.chunks) == ANSWER


async def test_only_http_1_1_is_offered(authority: trustme.CA, ca_file: str) -> None:
    """A server that would rather speak HTTP/2 is asked in the version that is measured."""
    offered: list[str | None] = []
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.sni_callback = lambda _, name, __: names.append(name)

    async def handler(peer: Peer) -> None:
        tls = peer.writer.get_extra_info("ssl_object")
        offered.append(tls.selected_alpn_protocol())
        await peer.say(response())

    trusted = TlsSettings(ca_file=ca_file)
    async with serving(handler, tls=context) as server:
        seen = await post(open_transport("auto", limits(), trusted), server.url)
    assert seen.failure is None
    assert (offered, names) == (["http/1.1"], ["localhost"])


async def test_idle_connection_is_ended_in_form(ca_file: str, server_tls: ssl.SSLContext) -> None:
    """The server is told (close_notify) when a kept connection is no longer needed."""
    ends: list[bytes] = []

    async def handler(peer: Peer) -> None:
        while await peer.request():
            await peer.say(response())
        ends.append(await peer.reader.read())  # raises where the end is not said

    trusted = TlsSettings(ca_file=ca_file)
    async with serving(handler, each_request=False, tls=server_tls) as server:
        seen = await post(open_transport("auto", limits(), trusted), server.url)
        for _ in range(100):
            if ends:
                break
            await asyncio.sleep(0.01)
    assert seen.failure is None
    assert ends == [b""]


# ── files that cannot be used ────────────────────────────────────────────────────────────────


def test_files_that_cannot_be_used(tmp_path: Path, client_cert: tuple[str, str]) -> None:
    """Each message names the key or the variable, and the file."""
    empty, missing = tmp_path / "empty.pem", str(tmp_path / "missing.pem")
    empty.write_text("nothing")
    cert, key = client_cert
    for settings, words in [
        (TlsSettings(ca_file=missing), "provider.ca_file: cannot read"),
        (TlsSettings(ca_file=str(empty)), "holds no certificate"),
        (TlsSettings(client_cert=missing), "provider.client_cert: cannot read"),
        (TlsSettings(client_cert=cert, client_key=missing), "provider.client_key: cannot read"),
        (TlsSettings(client_cert=cert), "holds no private key"),
        (TlsSettings(client_cert=key, client_key=key), "is no certificate with a private key"),
    ]:
        with pytest.raises(ConfigError, match=words):
            client_context(settings)


def test_key_of_another_certificate(
    client_cert: tuple[str, str], authority: trustme.CA, tmp_path: Path
) -> None:
    """A key that does not belong to the certificate is named so."""
    other = tmp_path / "other.key"
    authority.issue_cert("other@example.org").private_key_pem.write_to_path(other)
    with pytest.raises(ConfigError, match="does not belong"):
        client_context(TlsSettings(client_cert=client_cert[0], client_key=str(other)))


def test_encrypted_key(self_signed: tuple[str, str], tmp_path: Path) -> None:
    """Nobody is asked for a password on the terminal."""
    locked = str(tmp_path / "locked.key")
    arguments = ["-in", self_signed[1], "-aes256", "-passout", "pass:secret", "-out", locked]
    subprocess.run(["openssl", "pkey", *arguments], check=True, capture_output=True)
    with pytest.raises(ConfigError, match="is encrypted"):
        client_context(TlsSettings(client_cert=self_signed[0], client_key=locked))


def test_variable_without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """OpenSSL would pass over it in silence, and trust nobody or somebody else."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(ConfigError, match="SSL_CERT_FILE names"):
        client_context()


# ── Unix sockets ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["auto", "httpx"])
async def test_unix_socket(kind: str, tmp_path: Path) -> None:
    """Requests go through the socket, to the path behind the colon; connections are kept."""
    path = tmp_path / "a socket"
    transport = open_transport(kind, limits(concurrency=1))  # type: ignore[arg-type]
    async with serving(answer, unix_socket=path) as server, transport:
        url = server.url.replace(" ", "%20")
        seen = [await transport.post(url, {}, BODY) for _ in range(3)]
        gone = await transport.post(f"unix://{tmp_path}/none:/v1", {}, BODY)
    assert [(one.failure, b"".join(one.chunks)) for one in seen] == [(None, ANSWER)] * 3
    assert server.connections == 1
    assert server.requests[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"\r\nhost: localhost\r\n" in server.requests[0].lower()
    assert (gone.failure, gone.reached) == (ErrorKind.CONNECT, False)


async def test_transport_without_unix_sockets() -> None:
    """pyreqwest has none, and the message says which transport has."""
    seen = await post(open_transport("reqwest", limits()), "unix:///run/x.sock:/v1")
    assert (seen.failure, seen.reached) == (ErrorKind.BAD_URL, False)
    assert "transport=auto" in str(seen.message)
