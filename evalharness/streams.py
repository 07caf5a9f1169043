"""Output that cannot stop a command: a log on a full disk, a pipe whose reader has left.

What a run says is a courtesy; that it goes on, saves what it paid for and ends with its own exit
code is not. Nothing heavy is imported here: every command passes through.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class _Unfailing:
    """A text stream whose writes may get lost, but never raise."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or not."""
        with suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or not."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def unfailing_errors() -> Generator[None]:
    """While inside, nothing that is printed on standard error can raise OSError."""
    before = sys.stderr
    sys.stderr = cast("TextIO", _Unfailing(before))
    try:
        yield
    finally:
        sys.stderr = before
        settle(before)


def settle(stream: TextIO) -> bool:
    """Flush a stream for the last time; False where nobody can be told what is left in it.

    The interpreter would try once more at its end, and turn the exit code into 120.
    """
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return False
    return True


def caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error is of a kind, or came of one: libraries turn what they catch into others.

    Rich makes SystemExit of a pipe whose reader has left, Hydra of whatever stops it.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
