"""Every transport on every event loop, for every test of the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from evalharness.http import Transport, open_transport
from tests.http.raw_server import limits


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
    """Each transport; ``auto`` is the harness's own over plain http."""
    return request.param


@pytest.fixture
def opened(kind: str) -> Callable[..., Transport]:
    """Make a transport of the current kind with the given limits."""
    return lambda **changes: open_transport(kind, limits(**changes))  # type: ignore[arg-type]
