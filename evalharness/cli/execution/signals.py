"""The first signal waits for requests in flight, the second stops at once (see ``interrupts``)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from evalharness.errors import EXIT_INTERRUPTED
from evalharness.process.interrupts import interruptible
from evalharness.runner import StopReason
from evalharness.runner.progress import Progress


class Stoppable(Protocol):
    """A runner that can be stopped in two steps."""

    def stop(self, decision: StopReason) -> None:
        """Start nothing new."""
        ...

    def abandon(self) -> None:
        """Do not wait for what is in flight."""
        ...


@contextmanager
def stop_on_signals(
    runner: Stoppable, progress: Progress, *, what: str = "finishing what is in flight"
) -> Generator[None]:
    """Inside, signals stop the runner instead of the process; ``what`` says how it ends.

    Raises:
        asyncio.CancelledError: a signal came before, and nothing is to be sent; or it came as the
            runner had ended, too late to stop it.
    """
    loop = asyncio.get_running_loop()
    received = handled = 0

    def stop(number: signal.Signals) -> None:
        nonlocal handled
        handled += 1
        if handled == 1:
            progress.print_line(f"{number.name}: {what}; once more stops at once")
            runner.stop(StopReason(f"{number.name} received", EXIT_INTERRUPTED, "interrupted"))
        else:
            runner.abandon()

    def stop_soon(number: signal.Signals) -> None:
        # It comes in the middle of whatever runs: it is acted on between two turns of the loop.
        nonlocal received
        received += 1
        loop.call_soon_threadsafe(stop, number)

    with (
        interruptible() as interrupts,
        interrupts.replace_other_handlers(),
        interrupts.pass_to(stop_soon),
    ):
        # Closing endpoints and writing the report can be interrupted like the time before.
        if interrupts.pending:
            raise asyncio.CancelledError
        yield
    if received > handled:
        interrupts.pending = True
        raise asyncio.CancelledError
