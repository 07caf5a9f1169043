"""The parent's side of :mod:`.sandbox`: one child process for all templates of this process.

The child starts on first use (about 0.1 s), is replaced when a template kills it, and ends when
this process ends, however it ends: its stdin closes.
"""

from __future__ import annotations

import atexit
import os
import signal
import struct
import subprocess  # runs our own file with our own interpreter
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

MEMORY_MIB = 512  # address space of the child, the interpreter included
CPU_S = 2.0  # CPU time for one row
BATCH = 256  # rows a message

# What an interpreter needs to start. The child gets no other variable, hence no API key.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "LANG")


class SandboxFailure(msgspec.Struct, frozen=True):
    """Why a row gave no value. ``line`` is the template's line, None when it is not known."""

    kind: str
    message: str
    line: int | None = None


class _Reply(msgspec.Struct, frozen=True):
    values: list[Any]
    error: SandboxFailure | None = None


class _SandboxExitError(Exception):
    """The child ended instead of answering."""


class SandboxClient:
    """Runs template and condition sources over rows of variables, within bounds."""

    def __init__(self, memory_mib: int = MEMORY_MIB) -> None:
        self._memory_mib = memory_mib
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()
        self._decode = msgspec.json.Decoder(_Reply).decode

    def run(
        self,
        kind: Literal["render", "where", "names"],
        source: str,
        rows: Sequence[dict[str, Any]],
        *,
        max_bytes: int = 1 << 20,
        cpu_s: float = CPU_S,
    ) -> tuple[list[Any], SandboxFailure | None]:
        """Values for the rows, up to the first that fails, and why that one failed.

        The index of the failed row is the number of values returned.
        """
        request: dict[str, Any] = {
            "kind": kind, "source": source, "max_bytes": max_bytes, "cpu_s": cpu_s,
        }  # fmt: skip
        values: list[Any] = []
        with self._lock:
            for start in range(0, len(rows), BATCH):
                part, failure = self._run_batch(request, rows[start : start + BATCH])
                values += part
                if failure is not None:
                    return values, failure
        return values, None

    def close(self) -> None:
        """End the child, if there is one."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        _pipe(process.stdin).close()
        process.kill()
        process.wait()
        _pipe(process.stdout).close()

    def _run_batch(
        self, request: dict[str, Any], rows: Sequence[dict[str, Any]]
    ) -> tuple[list[Any], SandboxFailure | None]:
        try:
            reply = self._request({**request, "rows": rows})
        except _SandboxExitError as exit_error:
            if len(rows) == 1:
                return [], _exit_failure(exit_error.args[0], request["cpu_s"])
            # One row ended the child, and all replies are lost: send them again one by one.
            values: list[Any] = []
            for row in rows:
                batch_values, failure = self._run_batch(request, [row])
                values += batch_values
                if failure is not None:
                    return values, failure
            return values, None
        return reply.values, reply.error

    def _request(self, request: dict[str, Any]) -> _Reply:
        process = self._running_process()
        body = msgspec.json.encode(request)
        try:
            stdin = _pipe(process.stdin)
            stdin.write(struct.pack("<I", len(body)) + body)
            stdin.flush()
            stdout = _pipe(process.stdout)
            head = stdout.read(4)
            answer = stdout.read(struct.unpack("<I", head)[0]) if len(head) == 4 else b""
        except BrokenPipeError:
            answer = b""
        if answer:
            return self._decode(answer)
        code = process.wait()
        self._process = None
        _quiet_close(process)
        raise _SandboxExitError(code)

    def _running_process(self) -> subprocess.Popen[bytes]:
        # After a fork the pipes are shared with the parent: start a child of our own.
        if self._process is None or self._owner != os.getpid():
            environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
            script = Path(__file__).with_name("sandbox.py")
            # -P keeps the script's own folder off the import path.
            self._process = subprocess.Popen(  # noqa: S603  # our own file, our own interpreter
                [sys.executable, "-P", str(script), str(self._memory_mib)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                process_group=0,  # Ctrl-C is for the command, which ends this one
            )
            self._owner = os.getpid()
        return self._process


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _quiet_close(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes of an ended child; bytes that it never read are dropped."""
    for stream in (process.stdin, process.stdout):
        try:
            _pipe(stream).close()
        except BrokenPipeError:
            continue


def _exit_failure(code: int, cpu_s: float) -> SandboxFailure:
    if code == -signal.SIGPROF:
        return SandboxFailure("time", f"takes more than {cpu_s:g} s of CPU time")
    reason = f"signal {-code}" if code < 0 else f"exit code {code}"
    return SandboxFailure("died", f"ended the rendering process ({reason})")


@cache
def shared_sandbox() -> SandboxClient:
    """The client of this process."""
    client = SandboxClient()
    atexit.register(client.close)
    return client
