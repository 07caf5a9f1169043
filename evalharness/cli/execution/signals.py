"""Ctrl-C and SIGTERM: the first waits for requests in flight, the second stops at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from evalharness.errors import EXIT_INTERRUPTED
from evalharness.runner import StopReason
from evalharness.runner.progress import Progress

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stoppable(Protocol):
    """A runner that can be stopped in two steps."""

    def stop(self, decision: StopReason) -> None:
        """Start nothing new."""
        ...

    def abandon(self) -> None:
        """Do not wait for what is in flight."""
        ...


@contextmanager
def stop_on_signals(runner: Stoppable, progress: Progress) -> Generator[None]:
    """Inside, signals stop the runner instead of the process."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}
    received = 0

    def handle(number: signal.Signals) -> None:
        nonlocal received
        received += 1
        if received == 1:
            progress.print_line(
                f"{number.name}: finishing what is in flight; once more stops at once"
            )
            runner.stop(StopReason(f"{number.name} received", EXIT_INTERRUPTED, "interrupted"))
        else:
            runner.abandon()

    for number in _SIGNALS:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            # The loop leaves the system's default handlers. Closing endpoints and writing the
            # report can be interrupted like the time before.
            signal.signal(number, before[number])
