"""A command on a real terminal: a pty is its stdin, stdout and stderr."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


_HANGS_S = 60  # silent for so long: it waits for somebody to type


class Screen(NamedTuple):
    """Exit code, and everything that was written to the terminal."""

    returncode: int
    text: str


def on_terminal(
    cwd: Path, *arguments: str, answers: tuple[tuple[str, str], ...] = (), columns: int = 200
) -> Screen:
    """Run ``evalharness …`` on a terminal.

    Args:
        cwd: where.
        arguments: of the command.
        answers: pairs of a text to wait for, and what is typed then.
        columns: width of the terminal.
    """
    program = [sys.executable, "-m", "evalharness", *arguments]
    return program_on_terminal(cwd, program, answers=answers, columns=columns)


def program_on_terminal(
    cwd: Path,
    program: Sequence[str],
    *,
    answers: tuple[tuple[str, str], ...] = (),
    columns: int = 200,
    environment: Mapping[str, str] | None = None,
) -> Screen:
    """Run any program on a terminal; the other arguments are those of :func:`on_terminal`."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with subprocess.Popen(
        program,
        cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm", **(environment or {})},
    ) as process:  # fmt: skip
        os.close(theirs)
        written, waiting = "", list(answers)
        # Linux answers EIO when the last writer has closed a pty.
        with contextlib.suppress(OSError):
            while chunk := _read(ours, process):
                written += chunk.decode(errors="replace").replace("\a", "")  # it may beep
                if waiting and waiting[0][0] in written:
                    os.write(ours, waiting.pop(0)[1].encode())
        code = process.wait(60)
    os.close(ours)
    assert not waiting, f"never asked: {waiting[0][0]!r} in {written!r}"
    return Screen(code, _ESCAPES.sub("", written).replace("\r\n", "\n"))


def _read(terminal: int, process: subprocess.Popen[bytes]) -> bytes:
    """What was written next; a command that waits for ever is ended."""
    if not select.select([terminal], [], [], _HANGS_S)[0]:
        process.kill()
    return os.read(terminal, 65536)
