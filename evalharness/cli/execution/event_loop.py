"""The event loop that sends: uvloop, quick turns for other threads, little garbage collection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from evalharness.cli.execution.interrupts import left_to_the_loop
from evalharness.runner.gc_and_gil import quick_turns

T = TypeVar("T")


def run_on_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end on a fresh event loop, as :func:`asyncio.run` does."""
    import uvloop

    with (
        quick_turns(),
        left_to_the_loop(),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(main)
