"""The event loop that sends requests: uvloop, with the interpreter tuned for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from evalharness.cli.execution.interrupts import leave_sigint_to_loop
from evalharness.process.tuning import tuned_interpreter

T = TypeVar("T")


def run_on_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end on a fresh event loop, as :func:`asyncio.run` does."""
    import uvloop

    with (
        tuned_interpreter(),
        leave_sigint_to_loop(),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(main)
