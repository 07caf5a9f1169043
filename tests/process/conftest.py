"""A list of what is reported of a child process, and the event loop of runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from tests.process.child_checks import MessageLog


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Waiters are woken on uvloop, as in a run; the other tests have asyncio's own loop."""
    if item.path.name == "test_fair_wakeup.py":
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def log() -> MessageLog:
    return MessageLog()
