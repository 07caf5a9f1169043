"""The real command as a process that can be killed, and the real emulator with its ledger."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

KILL, TEAR, SYNC_EIO, QUOTA = 1, 2, 3, 4
# Patience, not timing: whatever takes longer is stuck.
PATIENCE_S = 60.0


class Fault(NamedTuple):
    """Strike at the n-th call that changes the run folder (with SYNC_EIO: the n-th sync).

    ``QUOTA`` refuses every further byte as a quota that is used up does, until a file is deleted.
    """

    at: int
    action: int


class FinishedCommand(NamedTuple):
    """What a command left: its exit code (−9 after SIGKILL) and what it printed."""

    code: int
    out: str
    err: str

    @property
    def faults(self) -> tuple[int, int]:
        """Calls the fault-injecting library counted, and syncs of a file whose sync had failed."""
        seen, again = self.out.rpartition("faults: ")[2].split()
        return int(seen), int(again)

    @property
    def last_line(self) -> str:
        """The last line on standard error."""
        return self.err.strip().splitlines()[-1]


class Command:
    """A running command."""

    def __init__(self, fork_server: ForkServer, pid: int, out: Path, err: Path) -> None:
        self._fork_server, self.pid, self._out, self._err = fork_server, pid, out, err

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def errors(self) -> str:
        """What it has said on standard error so far."""
        return self._err.read_text()

    def poll(self) -> FinishedCommand | None:
        """Its end, None while it runs."""
        code = self._fork_server.ask({"wait": self.pid, "block": False})["code"]
        return None if code is None else self._done(code)

    def wait(self) -> FinishedCommand:
        """Its end, waited for."""
        return self._done(self._fork_server.ask({"wait": self.pid, "block": True})["code"])

    def _done(self, code: int) -> FinishedCommand:
        return FinishedCommand(code, self._out.read_text(), self._err.read_text())


class ForkServer:
    """Starts commands as forks of one warm process (see ``fork_server.py``)."""

    def __init__(self, folder: Path, preload: Path | None) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self.has_faults = preload is not None
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "COLUMNS": "200",
            **({"LD_PRELOAD": str(preload)} if preload is not None else {}),
        }
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert self._read()["ready"]

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send one line, read one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def start(
        self,
        cwd: Path,
        *arguments: str,
        seal_trials: int | None = None,
        seal_here: bool = False,
        fault: Fault | None = None,
        composed: bool = False,
        quiet: bool = False,
        **environment: str,
    ) -> Command:
        """Start ``evalharness …`` in a folder.

        Args:
            cwd: the folder.
            arguments: of the command.
            seal_trials: trials a part, instead of 16,384.
            seal_here: make parts in the process itself, where faults are injected.
            fault: to be injected.
            composed: let Hydra work on these arguments once only, however often they are run.
            quiet: make no report at the end, which takes a second.
            environment: more variables.
        """
        number = next(self._numbers)
        out, err = self._folder / f"{number}.out", self._folder / f"{number}.err"
        out.touch()
        err.touch()
        pid = self.ask(
            {
                "arguments": list(arguments), "cwd": str(cwd), "env": environment,
                "out": str(out), "err": str(err), "seal_trials": seal_trials,
                "seal_here": seal_here,
                "composed": composed, "quiet": quiet,
                "fault": None if fault is None else fault._asdict(),
            }
        )["pid"]  # fmt: skip
        return Command(self, pid, out, err)

    def run(self, cwd: Path, *arguments: str, **options: Any) -> FinishedCommand:
        """Run ``evalharness …`` in a folder to its end."""
        return self.start(cwd, *arguments, **options).wait()

    def close(self) -> None:
        """End the process that forks."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


def compile_library(name: str, folder: Path) -> Path | None:
    """A library to be preloaded, from ``name.c``; None where there is no C compiler."""
    source, library = Path(__file__).with_name(f"{name}.c"), folder / f"{name}.so"
    for compiler in ("cc", "gcc", "clang"):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            command = [compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(library), "-ldl"]
            subprocess.run(command, check=True, capture_output=True)
            return library
    return None


class Emulator:
    """A running emulator; its ledger survives whoever sends to it."""

    def __init__(self, base_url: str, ledger_file: Path) -> None:
        self.base_url = base_url
        self._file = ledger_file

    @property
    def provider(self) -> list[str]:
        """Overrides that send to it."""
        return [
            "provider=openai_compatible", f"provider.base_url={self.base_url}",
            "provider.model=qwen-plus",
        ]  # fmt: skip

    def served(self) -> int:
        """Requests it has finished so far (lines of its file)."""
        return self._file.read_bytes().count(b"\n")

    def wait_until_served(self, count: int, *, by: Command | None = None) -> None:
        """Wait for that many finished requests, or for the end of the command that sends them."""
        self._wait(lambda: self.served(), count, by)

    def wait_until_received(self, count: int) -> None:
        """Wait until that many requests have arrived, finished or not."""
        self._wait(lambda: self.stats()["requests"], count, None)

    def _wait(self, measure: Any, count: int, by: Command | None) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while measure() < count:
            if by is not None and not Path(f"/proc/{by.pid}/exe").exists():
                return
            assert time.monotonic() < deadline, f"fewer than {count} requests arrived"
            time.sleep(0.001)

    def ledger(self) -> list[dict[str, Any]]:
        """Every request received, in order of arrival."""
        return [json.loads(line) for line in self._get("ledger").splitlines()]

    def stats(self) -> dict[str, Any]:
        """Its counts."""
        return json.loads(self._get("stats"))

    def _get(self, what: str) -> bytes:
        root = self.base_url.removesuffix("/v1")
        with urllib.request.urlopen(f"{root}/_emulator/{what}", timeout=30) as response:
            return response.read()


@contextlib.contextmanager
def emulating(folder: Path, *arguments: str) -> Iterator[Emulator]:
    """An emulator on a free port for the length of the block."""
    ledger = folder / f"ledger-{time.monotonic_ns()}.jsonl"
    command = [
        sys.executable, "-m", "evalharness.emulator", "--exit-with-parent",
        "--ledger", str(ledger), *arguments,
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Emulator(json.loads(process.stdout.readline())["base_url"], ledger)
        finally:
            process.stdin.close()
            process.wait(30)
