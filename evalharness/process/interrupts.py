"""Ctrl-C, SIGTERM and the end of the terminal (SIGHUP) end a command the same way at every moment.

One handler is installed from the first to the last moment of a command. What a signal does is
decided in it, without touching the system's handlers again: between two of them a signal would do
something else. Where nothing else is said it raises :class:`KeyboardInterrupt`, and context
managers close what is open. While an event loop is set up or closed a signal is only noted
(:meth:`Interrupts.held`); while one runs, whoever can end it gets the signal
(:meth:`Interrupts.pass_to`). Nothing heavy is imported here.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupts:
    """What came, and what a signal does now.

    Attributes:
        received: a signal came, whoever took it.
        pending: a signal came that is to end the command. Once true it stays so: libraries may
            replace the exception that was raised, or lose it.
    """

    def __init__(self) -> None:
        self.received = self.pending = False
        self._held = False
        self._receiver: Callable[[signal.Signals], None] | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal.

        Raises:
            KeyboardInterrupt: unless it is held or passed on.
        """
        self.received = True
        if self._receiver is not None:
            self._receiver(signal.Signals(number))
            return
        self.pending = True
        if not self._held:
            raise KeyboardInterrupt

    def deliver(self, number: signal.Signals) -> None:
        """Do what a signal would do, from whoever else ends the command."""
        self.received = True
        if self._receiver is not None:
            self._receiver(number)
        else:
            self.pending = True

    @contextmanager
    def held(self) -> Generator[None]:
        """Inside, a signal interrupts nothing; one that is pending is raised at the end.

        Raises:
            KeyboardInterrupt: in place of whatever ended the block.
        """
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self.pending:
                raise KeyboardInterrupt

    @contextmanager
    def pass_to(self, receiver: Callable[[signal.Signals], None]) -> Generator[None]:
        """Inside, ``receiver`` gets each signal, between any two instructions of this thread."""
        before = self._receiver
        self._receiver = receiver
        try:
            yield
        finally:
            self._receiver = before

    @contextmanager
    def replace_other_handlers(self) -> Generator[None]:
        """Take back signals that a library handles, and those that this process ignores.

        While requests are sent, a command in the background of a shell script hears SIGINT and
        SIGTERM, too. Where ``nohup`` has taken the terminal away, SIGHUP stays ignored. The
        library's handlers do not come back.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in before.items():
            if handler != signal.SIG_IGN or number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self.handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                if handler == signal.SIG_IGN:
                    signal.signal(number, handler)


_current: Interrupts | None = None


@contextmanager
def interruptible() -> Generator[Interrupts]:
    """Inside, SIGTERM and SIGHUP do what Ctrl-C does; a signal ignored before stays ignored.

    ``nohup`` and ``&`` ignore signals. Within another such block that block's handler serves.

    Raises:
        KeyboardInterrupt: from wherever the main thread is, when a signal comes.
    """
    global _current  # noqa: PLW0603 - handlers of signals belong to the process
    if _current is not None:
        yield _current
        return
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # signals are the main thread's
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        _current = interrupts
        for number in SIGNALS:
            if before[number] != signal.SIG_IGN:
                signal.signal(number, interrupts.handle)
        yield interrupts
    finally:
        _current = None
        for number in SIGNALS:
            signal.signal(number, before[number] or signal.SIG_DFL)


def print_interrupted(arguments: Sequence[str]) -> None:
    """Say that a command was interrupted, and how it goes on."""
    print("evalharness: interrupted; what was recorded is kept", file=sys.stderr)
    if arguments:
        print(f"to go on: {shlex.join(['evalharness', *arguments])}", file=sys.stderr)
