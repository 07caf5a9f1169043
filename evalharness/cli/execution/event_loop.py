"""The event loop that sends requests: uvloop, with the interpreter tuned for it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from evalharness.process.interrupts import Interrupts, interruptible
from evalharness.process.tuning import tuned_interpreter

T = TypeVar("T")


def run_on_loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run what ``main`` makes to its end on a fresh event loop, as :func:`asyncio.run` does.

    A signal cancels it, at whatever instant it comes; a second one does not wait for that.

    Raises:
        KeyboardInterrupt: a signal came, and nothing else took it.
    """
    import uvloop

    with (
        interruptible() as interrupts,
        interrupts.held(),
        tuned_interpreter(),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_cancellable(main, interrupts))


async def _cancellable(main: Callable[[], Coroutine[Any, Any, T]], interrupts: Interrupts) -> T:
    """Await what ``main`` makes; the first signal cancels it, the next one ends the loop."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def cancel(_: signal.Signals) -> None:
        if interrupts.pending:
            raise KeyboardInterrupt
        interrupts.pending = True
        loop.call_soon_threadsafe(task.cancel)

    with interrupts.pass_to(cancel):
        if interrupts.pending:
            raise asyncio.CancelledError
        return await main()
