"""Ctrl-C and SIGTERM end a command the same way at every moment.

While requests are sent, :mod:`.signals` drains. Before and after that (composing, opening the run
folder, starting an endpoint, reporting) either signal raises :class:`KeyboardInterrupt`, which
closes what is open on its way. Nothing heavy is imported here.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Whether a signal came; libraries may turn the exception it raised into one of their own."""

    def __init__(self) -> None:
        self.came = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """What either signal does while this is installed."""
        self.came = True
        loop_s = signal.getsignal(signal.SIGINT)
        if callable(loop_s) and loop_s != self.handle:
            loop_s(number, frame)  # it cancels what the event loop runs
        else:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Generator[Interrupts]:
    """While inside, SIGTERM does what Ctrl-C does; a shell's ``nohup`` or ``&`` stays respected.

    Raises:
        KeyboardInterrupt: from wherever the main thread is, when a signal comes.
    """
    found = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield found  # signals are the main thread's
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, found.handle)
    try:
        yield found
    finally:
        for number in _SIGNALS:
            signal.signal(number, before[number] or signal.SIG_DFL)


@contextmanager
def left_to_the_loop() -> Generator[None]:
    """While inside, :class:`asyncio.Runner` finds Ctrl-C as it wants it: it cancels its task."""
    before = signal.getsignal(signal.SIGINT)
    ours = isinstance(getattr(before, "__self__", None), Interrupts)
    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
