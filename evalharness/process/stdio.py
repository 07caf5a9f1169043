"""Standard streams whose failures do not stop a command: a full disk, a pipe without a reader.

A run must go on, save what was paid for and end with its own exit code, whether or not its messages
can be written. A stream may be closed from the start (``>&-``), or take ASCII only. Nothing heavy
is imported here: every command passes through.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_STREAMS = (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_WRONLY, "w"), ("stderr", os.O_WRONLY, "w"))
_READABLE = "evalharness-readable"
_PYTHONS_OWN = ("strict", "backslashreplace", "surrogateescape")
# What stands for the characters of our own texts where a stream has not got them.
_IN_ASCII = {
    "×": "x", "·": "-", "–": "-", "—": "-", "−": "-", "‑": "-", "…": "...", "→": "->", "←": "<-",
    "≤": "<=", "≥": ">=", "±": "+/-", "≈": "~", "≠": "!=", "“": '"', "”": '"', "‘": "'", "’": "'",
    "•": "*", "µ": "u", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ", "│": "|",
    "─": "-", "━": "-", "█": "#", "✓": "yes", "✗": "no", "²": "^2", "Δ": "delta", "√": "sqrt",
}  # fmt: skip


def _replace_by_readable(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding has not got; others than ours by their number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    escaped = (c.encode("ascii", "backslashreplace").decode() for c in characters)
    replaced = (_IN_ASCII.get(c, e) for c, e in zip(characters, escaped, strict=True))
    return "".join(replaced), error.end


codecs.register_error(_READABLE, _replace_by_readable)


def prepare_streams() -> None:
    """Make the standard streams take whatever a command says.

    A stream that is closed becomes the null device, and keeps its number: a file that is opened
    later would get it, and with it what a library prints. What an encoding has not got is replaced.
    """
    for number, (name, flags, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
                descriptor = os.open(os.devnull, flags)
            except OSError:
                opened = os.open(os.devnull, flags)  # the lowest free number: mostly this one
                descriptor = number
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
    for stream in (sys.stdout, sys.stderr):
        # Python chooses surrogateescape for standard output in the C locale.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in _PYTHONS_OWN:
            stream.reconfigure(errors=_READABLE)


def data_output() -> TextIO:
    """Standard output for data that programs read (JSON, CSV): in UTF-8, whatever the locale is."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    return sys.stdout


class _ErrorIgnoringStream:
    """A text stream whose writes may be lost, but never raise."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write; an error is ignored."""
        with suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush; an error is ignored."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def ignore_stderr_errors() -> Generator[None]:
    """While inside, nothing that is printed on standard error can raise OSError."""
    before = sys.stderr
    sys.stderr = cast("TextIO", _ErrorIgnoringStream(before))
    try:
        yield
    finally:
        sys.stderr = before
        flush_or_discard(before)


class _BrokenPipeFile(io.FileIO):
    """A file descriptor that is redirected to the null device once its pipe has no reader."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            redirect_to_devnull(self.fileno())
            return memoryview(data).nbytes


@contextmanager
def survive_broken_pipe() -> Generator[None]:
    """While inside, standard output may lose its reader (`| head`) and the command goes on.

    What a command does and its exit code do not depend on a reader. A disk that is full still
    raises. A standard output that somebody has replaced is left as it is.
    """
    before = sys.stdout
    if before is not sys.__stdout__ or not isinstance(before, io.TextIOWrapper):
        yield
        return
    before.flush()
    raw = _BrokenPipeFile(before.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=before.encoding, errors=before.errors,
        line_buffering=before.line_buffering, write_through=before.write_through,
    )  # fmt: skip
    try:
        yield
        sys.stdout.flush()
    finally:
        flush_or_discard(sys.stdout)
        sys.stdout = before


def flush_or_discard(stream: TextIO) -> bool:
    """Flush a stream for the last time; where that fails its rest is discarded, and False returned.

    Otherwise the interpreter would try again at exit, and turn the exit code into 120.
    """
    try:
        stream.flush()
    except OSError:
        redirect_to_devnull(stream.fileno())
        return False
    return True


def redirect_to_devnull(descriptor: int) -> None:
    """Discard what is written to a file descriptor from now on."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, descriptor)
    os.close(devnull)


def has_cause(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error is of a kind, or was caused by one: libraries turn errors into others.

    Rich turns a broken pipe into SystemExit, Hydra any error.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
