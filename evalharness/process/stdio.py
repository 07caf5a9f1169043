"""Output that cannot stop a command: a log on a full disk, a pipe whose reader has left.

What a run says is a courtesy; that it goes on, saves what it paid for and ends with its own exit
code is not. Nothing heavy is imported here: every command passes through.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


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


class _Unheard(io.FileIO):
    """A file descriptor that leads nowhere from the first write on that nobody can read."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            _lead_nowhere(self.fileno())
            return memoryview(data).nbytes


@contextmanager
def outliving_readers() -> Generator[None]:
    """While inside, standard output may lose its reader (`| head`) and the command goes on.

    What a command does and the exit code it ends with do not depend on who still listens. A disk
    that is full still raises. Output that is not the process's own is left as it is.
    """
    before = sys.stdout
    if before is not sys.__stdout__ or not isinstance(before, io.TextIOWrapper):
        yield
        return
    before.flush()
    raw = _Unheard(before.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=before.encoding, errors=before.errors,
        line_buffering=before.line_buffering, write_through=before.write_through,
    )  # fmt: skip
    try:
        yield
        sys.stdout.flush()
    finally:
        settle(sys.stdout)
        sys.stdout = before


def settle(stream: TextIO) -> bool:
    """Flush a stream for the last time; False where nobody can be told what is left in it.

    The interpreter would try once more at its end, and turn the exit code into 120.
    """
    try:
        stream.flush()
    except OSError:
        _lead_nowhere(stream.fileno())
        return False
    return True


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error is of a kind, or came of one: libraries turn what they catch into others.

    Rich makes SystemExit of a pipe whose reader has left, Hydra of whatever stops it.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
