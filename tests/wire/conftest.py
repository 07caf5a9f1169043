"""Both transports, for every test of the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evalharness.wire.transport import Transport, open_transport
from tests.wire.server import limits


@pytest.fixture(params=["auto", "reqwest", "httpx"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each of the two transports."""
    return request.param


@pytest.fixture
def opened(kind: str) -> Callable[..., Transport]:
    """Make a transport of the current kind with the given limits."""
    return lambda **changes: open_transport(kind, limits(**changes))  # type: ignore[arg-type]
