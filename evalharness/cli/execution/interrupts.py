"""Ctrl-C and SIGTERM end a command the same way at every moment.

While requests are sent, :mod:`.signals` handles them. Before and after that (composing, opening the
run folder, starting an endpoint, reporting) either signal raises :class:`KeyboardInterrupt`, and
context managers close what is open. Nothing heavy is imported here.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Records that a signal came: libraries may replace the exception that it raised."""

    def __init__(self) -> None:
        self.received = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle either signal."""
        self.received = True
        loop_handler = signal.getsignal(signal.SIGINT)
        if callable(loop_handler) and loop_handler != self.handle:
            loop_handler(number, frame)  # cancels the task that the event loop runs
        else:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Generator[Interrupts]:
    """Inside, SIGTERM does what Ctrl-C does; a signal ignored by ``nohup`` or ``&`` stays ignored.

    Raises:
        KeyboardInterrupt: from wherever the main thread is, when a signal comes.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # signals are the main thread's
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, interrupts.handle)
    try:
        yield interrupts
    finally:
        for number in _SIGNALS:
            signal.signal(number, before[number] or signal.SIG_DFL)


@contextmanager
def leave_sigint_to_loop() -> Generator[None]:
    """Inside, Ctrl-C has Python's default handler, so :class:`asyncio.Runner` installs its own."""
    before = signal.getsignal(signal.SIGINT)
    ours = isinstance(getattr(before, "__self__", None), Interrupts)
    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
