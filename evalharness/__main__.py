"""``python -m evalharness``, and what the command ``evalharness`` calls.

Importing the command line takes a while, and so does the end of the interpreter. A signal then
ends the command in the words and with the exit code of every other moment. Until the first modules
are there the words are one line. Nothing is imported above :func:`run` that the interpreter has not
imported itself.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as type checkers read it; the module typing takes a while to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from signal import Handlers
    from types import FrameType
    from typing import NoReturn

_INTERRUPTED = b"evalharness: interrupted; what was recorded is kept\n"


def run() -> NoReturn:
    """Run the command that was typed, and exit."""
    try:
        # From here on no library can turn the interrupt into an error of its own.
        import signal

        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _end_interrupted)
        _run()
    except KeyboardInterrupt:
        _end_interrupted()


def _end_interrupted(number: int = 0, frame: FrameType | None = None) -> NoReturn:
    """End at once: no command has begun, or all is done."""
    try:
        os.write(2, _INTERRUPTED)
    finally:
        os._exit(130)  # EXIT_INTERRUPTED, whose module may be half imported


def _run() -> NoReturn:
    import atexit
    import signal

    from evalharness.errors import EXIT_INTERRUPTED
    from evalharness.process.interrupts import interruptible, print_interrupted
    from evalharness.process.memory import Exhaustion
    from evalharness.process.stdio import flush_or_discard, prepare_streams

    prepare_streams()
    try:
        with interruptible():
            from evalharness.cli import main

            code = main()
    except KeyboardInterrupt:
        print_interrupted(sys.argv[1:])
        code = EXIT_INTERRUPTED
    # All is done and said: a signal can hasten the end, and changes nothing else.
    _set_handlers(lambda number, frame: os._exit(code))
    # The interpreter gives signals back to the system before it ends, except those ignored.
    atexit.register(_set_handlers, signal.SIG_IGN)
    if Exhaustion.seen:
        flush_or_discard(sys.stdout)
        os._exit(code)
    sys.exit(code)


def _set_handlers(handler: Callable[[int, FrameType | None], object] | Handlers) -> None:
    import signal

    from evalharness.process.interrupts import SIGNALS

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


if __name__ == "__main__":
    run()
