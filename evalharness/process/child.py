"""A server in a child process that never outlives its parent, however the parent ends.

Three things ensure that. The child's standard input is a pipe whose other end only the parent
holds: when the parent has ended, by whatever cause, the child reads end-of-file and exits. On Linux
the kernel is also asked to kill it when the thread that started it dies, since a child busy inside
native code (loading a model) may not get to read its input. And a normal end closes the pipe,
waits, and then kills the child.

The child gets a session of its own, so that Ctrl-C in the terminal reaches the run, which drains,
and not the server that answers its last requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

import msgspec

from evalharness.errors import ProviderError
from evalharness.process.environment import environment_without_secrets
from evalharness.process.pauses import TimeLimit

STDERR_LINES = 30
GRACE_S = 5.0
_STDERR_LINE_BYTES = 500
_PR_SET_PDEATHSIG = 1


def exit_with_parent(descriptor: int = 0) -> None:
    """Exit as soon as the parent has ended; called in the child, first thing.

    ``descriptor``, standard input by default, must be a pipe whose other end only the parent
    holds: at the end of the input this process exits with status 0. Nothing else may read it.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(
        target=_exit_at_end_of_input, args=(descriptor,), name="exit-with-parent", daemon=True
    ).start()


def _exit_at_end_of_input(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(descriptor, 4096):
            pass
    os._exit(0)


class ChildServer:
    """A started child: its ready line, and its last lines of standard error.

    Attributes:
        ready_message: the JSON object of its ready line.
        pid: its process id.
    """

    def __init__(self, process: asyncio.subprocess.Process, ready_message: dict[str, Any]) -> None:
        self._process = process
        self._stderr_tail = deque[str](maxlen=STDERR_LINES)
        self.ready_message = ready_message

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def stderr_tail(self) -> list[str]:
        """The last lines it wrote to standard error: at most 30, each cut at 500 bytes."""
        return list(self._stderr_tail)

    def add_stderr_line(self, line: bytes) -> None:
        """Keep one line of its standard error, made safe to show on a terminal."""
        text = line[:_STDERR_LINE_BYTES].decode("utf-8", "replace").rstrip()
        if text:
            self._stderr_tail.append("".join(c if c.isprintable() else " " for c in text))

    async def wait(self) -> str:
        """Wait until the child has ended; how it ended, in words."""
        return describe_exit(await self._process.wait())


@contextlib.asynccontextmanager
async def child_server(
    module: str,
    arguments: Sequence[str] = (),
    *,
    what: str,
    say: Callable[[str], None],
    deadline_s: float = 60.0,
) -> AsyncGenerator[ChildServer]:
    """Run ``python -m module`` as a child for the length of the ``async with`` block.

    The module must call :func:`exit_with_parent` (or do the same) and print one line of JSON with
    ``"ready": true`` on standard output once it serves. Its standard error is kept, not shown,
    unless it fails. ``what`` names it in messages ("the local model server"). When the child ends
    by itself inside the block, ``say`` gets a sentence with its end and its last lines.

    Raises:
        ProviderError: it ended, or was not ready within ``deadline_s`` seconds; the message ends
            with its last lines on standard error.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # a file in the user's folder must not replace one of our modules
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=environment_without_secrets(),
    )
    child = ChildServer(process, {})
    stdout, stderr = process.stdout, process.stderr
    assert stdout is not None
    assert stderr is not None
    stderr_task = asyncio.create_task(_collect_stderr(stderr, child))
    tasks: list[asyncio.Task[None]] = [stderr_task]
    try:
        child.ready_message = await _wait_until_ready(
            process, stdout, child, stderr_task, what=what, deadline_s=deadline_s
        )
        tasks.append(asyncio.create_task(_discard(stdout)))
        tasks.append(asyncio.create_task(_report_exit(child, stderr_task, what, say)))
        yield child
    finally:
        if len(tasks) == 3:
            tasks[2].cancel()  # from here on the child is stopped on purpose
        await _stop(process, tasks)


async def _wait_until_ready(
    process: asyncio.subprocess.Process,
    stdout: asyncio.StreamReader,
    child: ChildServer,
    stderr_task: asyncio.Task[None],
    *,
    what: str,
    deadline_s: float,
) -> dict[str, Any]:
    """Wait for the ready line; lines before it are skipped."""
    try:
        async with TimeLimit(deadline_s):
            while line := await stdout.readline():
                message = _ready_message(line)
                if message is not None:
                    return message
            # Its output has ended, so it is ending; a moment later its status is known.
            exit_text = describe_exit(await process.wait())
            await stderr_task
    except TimeoutError:
        raise ProviderError(
            f"{what} was not ready after {deadline_s:g} s{_quote(child.stderr_tail)}"
        ) from None
    except ValueError:  # a line beyond the stream's limit: no ready line of ours
        raise ProviderError(f"{what} wrote something other than its ready line") from None
    raise ProviderError(f"{what} could not start: {exit_text}{_quote(child.stderr_tail)}")


def _ready_message(line: bytes) -> dict[str, Any] | None:
    try:
        message: object = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    if not isinstance(message, dict):
        return None
    fields = cast("dict[str, Any]", message)
    return fields if fields.get("ready") is True else None


async def _collect_stderr(stderr: asyncio.StreamReader, child: ChildServer) -> None:
    """Keep the last lines in bounded memory, whatever the child writes."""
    rest = b""
    while block := await stderr.read(65536):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            child.add_stderr_line(line)
        rest = rest[:_STDERR_LINE_BYTES]
    child.add_stderr_line(rest)


async def _discard(stdout: asyncio.StreamReader) -> None:
    """Read on, so that a child that goes on printing never blocks on a full pipe."""
    while await stdout.read(65536):
        pass


async def _report_exit(
    child: ChildServer, stderr_task: asyncio.Task[None], what: str, say: Callable[[str], None]
) -> None:
    exit_text = await child.wait()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(stderr_task), 1.0)
    say(f"{what} ended by itself: {exit_text}{_quote(child.stderr_tail)}")


async def _stop(process: asyncio.subprocess.Process, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Stop the child: close its input, then kill it; when cancelled meanwhile, kill it at once."""
    try:
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_S)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                await process.stdin.wait_closed()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def describe_exit(status: int) -> str:
    """How a process with this status ended, in words; a negative one is minus the signal."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"


def _quote(lines: Sequence[str]) -> str:
    return "".join(f"\n  | {line}" for line in lines)
