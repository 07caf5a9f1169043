"""A signal at any other moment than while requests are sent, and output that nobody can take."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import evalharness
from evalharness.cli import main
from evalharness.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_STORAGE
from evalharness.store.parts.verify import verify_folder
from tests.durability.processes import Command, Emulator, ForkServer
from tests.durability.test_exit_codes import PLAN, PLANNED, resumes

Emulate = Callable[..., AbstractContextManager[Emulator]]


def _has_child(command: Command) -> bool:
    children = Path(f"/proc/{command.pid}/task").glob("*/children")
    return any(file.read_text() for file in children)


MOMENTS: dict[str, Callable[[Command, Path], bool]] = {
    "the folder is locked": lambda _, root: (root / "run.lock").exists(),
    "the plan is saved": lambda _, root: (root / "run.json").exists(),
    "an endpoint is opened": lambda command, _: _has_child(command),
}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_130_before_the_first_request(
    fork_server: ForkServer, tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    """Whatever it was doing, the command ends with 130, and its last line goes on."""
    running = fork_server.start(tmp_path, "run", "name=r", "provider=emulator", *PLAN)
    while not MOMENTS[moment](running, tmp_path / "results" / "r"):
        assert running.poll() is None
    running.signal(number)
    done = running.wait()
    assert done.code == EXIT_INTERRUPTED, done.err
    assert "Traceback" not in done.err
    resumes(fork_server, tmp_path, done)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_130_while_the_command_line_is_imported(tmp_path: Path, number: signal.Signals) -> None:
    """The first thing that is imported raises the signal: the words are those of every moment."""
    script = (
        "import builtins, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "original = builtins.__import__\n"
        "def importing(name, *rest):\n"
        "    if name == 'evalharness.cli':\n"
        f"        signal.raise_signal({int(number)})\n"
        "    return original(name, *rest)\n"
        "builtins.__import__ = importing\n"
        "sys.argv = ['evalharness', 'run', 'name=r']\n"
        "from evalharness.__main__ import run\n"
        "run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == EXIT_INTERRUPTED, done.stderr
    assert done.stderr.splitlines()[-1] == "to go on: evalharness run name=r"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "module", ["signal", "evalharness.errors", "evalharness.process.stdio", "threading"]
)
def test_130_while_the_first_modules_are_imported(tmp_path: Path, module: str) -> None:
    """Ctrl-C before the handlers of a command are there: no traceback."""
    script = (
        "import builtins, runpy, _signal\n"
        "original = builtins.__import__\n"
        "def importing(name, *rest, **named):\n"
        f"    if name == {module!r}:\n"
        f"        _signal.raise_signal({int(signal.SIGINT)})\n"
        "    return original(name, *rest, **named)\n"
        "builtins.__import__ = importing\n"
        "runpy.run_module('evalharness', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == EXIT_INTERRUPTED, done.stderr
    assert done.stderr == "evalharness: interrupted; what was recorded is kept\n"


def test_a_terminal_that_goes_away_is_an_ordered_stop(emulate: Emulate, tmp_path: Path) -> None:
    """SIGHUP, and nobody to write to any more: what is in flight is recorded, the code is 130."""
    controller, terminal = os.openpty()
    with emulate("--ttft-ms", "300") as emulator:
        with subprocess.Popen(
            [sys.executable, "-m", "evalharness", "run", "name=r", *emulator.provider, *PLAN],
            cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal,
            start_new_session=True, preexec_fn=_take_terminal,
        ) as process:  # fmt: skip
            os.close(terminal)
            emulator.wait_until_received(1)
            os.close(controller)
            assert process.wait(60) == EXIT_INTERRUPTED
        answered = emulator.served()
    run = evalharness.load(tmp_path / "results" / "r")
    assert run.manifest.status == "interrupted"
    assert run.manifest.reason == "SIGHUP received"
    assert len(run.records()) == answered > 0


def _take_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_what_nohup_started_outlives_its_terminal(emulate: Emulate, tmp_path: Path) -> None:
    """SIGHUP stays ignored where it was: the run goes on to its end."""
    with emulate("--ttft-ms", "100") as emulator, subprocess.Popen(
        ["nohup", sys.executable, "-m", "evalharness", "run", "name=r", *emulator.provider, *PLAN],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        emulator.wait_until_received(1)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == EXIT_OK
    assert len(evalharness.load(tmp_path / "results" / "r").records()) == PLANNED


def test_130_while_hydra_composes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where what Hydra calls makes another error of the interrupt: it is no bad configuration."""

    def interrupted() -> str:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise ValueError("wrapped") from error
        return "never"

    OmegaConf.register_new_resolver("evh_test_interrupted", interrupted, replace=True)
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "name=r", "hydra.run.dir=${evh_test_interrupted:}"]
    assert main(arguments) == EXIT_INTERRUPTED
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last == "to go on: evalharness run name=r 'hydra.run.dir=${evh_test_interrupted:}'"


def test_130_while_the_report_is_made(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """All is recorded; what to type next is said all the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "evalharness.cli.execution.final_report.print_report",
        lambda _: signal.raise_signal(signal.SIGTERM),
    )
    before = signal.getsignal(signal.SIGTERM)
    assert main(["run", "name=r", *emulator.provider, *PLAN]) == EXIT_INTERRUPTED
    said = capfd.readouterr().err.strip().splitlines()
    assert said[-1] == "again: evalharness report results/r"
    assert "no report: interrupted" in said
    assert signal.getsignal(signal.SIGTERM) is before


def test_74_when_only_the_seal_failed(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Nothing is left to send, and the last line is still the command that goes on."""
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "name=r", *emulator.provider, *PLAN]
    with monkeypatch.context() as broken:
        broken.setattr(
            "evalharness.store.parts.seal.write_table",
            lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")),
        )
        assert main(arguments) == EXIT_STORAGE
    last = capfd.readouterr().err.strip().splitlines()[-1]
    command = shlex.join(["evalharness", *arguments])
    assert last == f"every trial is recorded, not all are sealed; to go on: {command}"
    assert main(arguments) == EXIT_OK
    assert verify_folder(tmp_path / "results" / "r").unsealed == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_log_and_a_closed_pipe_stop_nothing(emulator: Emulator, tmp_path: Path) -> None:
    """`evalharness run 2>log | head` on a full disk: every answer is recorded, and the code is 0."""
    command = [sys.executable, "-m", "evalharness"]
    run = [*command, "run", "name=r", *emulator.provider, *PLAN]

    def code(arguments: list[str], *, out: str) -> int:
        with Path("/dev/full").open("w") as full, subprocess.Popen(
            arguments, cwd=tmp_path, stderr=full,
            stdout=full if out == "full" else subprocess.PIPE,
        ) as process:  # fmt: skip
            if process.stdout is not None:
                process.stdout.close()
            return process.wait(60)

    assert code(run, out="closed") == EXIT_OK
    run_folder = evalharness.load(tmp_path / "results" / "r")
    assert run_folder.manifest.status == "complete"
    assert len(run_folder.records()) == PLANNED
    assert code([*command, "report", "r"], out="closed") == EXIT_OK
    # What nobody has seen because the disk is full was not said; the answers are there.
    assert code(run, out="full") == EXIT_STORAGE
