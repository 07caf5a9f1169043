"""Every transport on every event loop, for every test of the contract."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
import trustme
import uvloop

from evalharness.http import TlsSettings, Transport, open_transport
from tests.http.raw_server import RawServer, limits, serving

Serve = Callable[..., AbstractAsyncContextManager[RawServer]]


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Runs send on uvloop, whose sockets behave otherwise than asyncio's in details."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if "opened" in getattr(item, "fixturenames", ()):
        loops["asyncio"] = asyncio.new_event_loop
    return loops


@pytest.fixture(params=["auto", "reqwest", "httpx"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each transport; ``auto`` is the harness's own."""
    return request.param


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs the certificates of servers and clients."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of its certificate."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's certificate for this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(params=["plain", "tls"])
def serve(request: pytest.FixtureRequest, server_tls: ssl.SSLContext) -> Serve:
    """Serve over plain http, and over TLS."""
    return partial(serving, tls=server_tls if request.param == "tls" else None)


@pytest.fixture
def opened(kind: str, ca_file: str) -> Callable[..., Transport]:
    """Make a transport of the current kind with the given limits."""

    def make(tls: TlsSettings | None = None, **changes: Any) -> Transport:
        certificates = TlsSettings(ca_file=ca_file) if tls is None else tls
        return open_transport(kind, limits(**changes), certificates)  # type: ignore[arg-type]

    return make
