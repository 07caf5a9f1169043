"""Commands in processes of their own that need not import anything: forks of one that has.

Run as a program it reads a line of JSON a command, forks, and writes the process id and then how it
ended. Nothing runs beside it when it forks, so that a fork is as good as a new process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self


class Ended(NamedTuple):
    """How a command ended; a negative code is the signal that ended it."""

    returncode: int
    stdout: str
    stderr: str


class ForkedCommands:
    """Starts commands; use it as a context manager."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.batch.forked_commands"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)
        assert self._server.stdout is not None
        self._server.stdout.close()

    def run(
        self,
        arguments: list[str],
        cwd: Path,
        *,
        started: Callable[[int], None] = lambda _: None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Ended:
        """Run a command to its end; ``started`` gets its process id."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        outputs = [cwd / "stdout.txt", cwd / "stderr.txt"]
        command = {
            "arguments": arguments,
            "cwd": str(cwd),
            "outputs": [str(p) for p in outputs],
            "environment": dict(environment),
        }
        self._server.stdin.write(json.dumps(command) + "\n")
        self._server.stdin.flush()
        started(int(self._server.stdout.readline()))
        code = int(self._server.stdout.readline())
        return Ended(code, *(p.read_text() for p in outputs))


def _serve() -> None:
    from evalharness.cli import main
    from evalharness.cli.execution import execute_run as _execute_run  # noqa: F401

    for line in sys.stdin:
        command = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.chdir(command["cwd"])
            os.environ.update(command["environment"])
            for number, path in zip((1, 2), command["outputs"], strict=True):
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(fd, number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            code = 70
            try:
                code = main(command["arguments"])
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
