"""The command as a user runs it, in an empty folder: as a process of its own or in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from evalharness.cli import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]

# Two prompts × two temperatures × two repeats on the real model: a few seconds.
SLICE = (
    "dataset.limit=2", "repeats=2", "sweep.temperature=[0,1.2]", "sweep.seed=null",
    "params.max_tokens=8",
)  # fmt: skip


@pytest.fixture
def evalharness(tmp_path: Path) -> Command:
    """Run ``evalharness …`` in a fresh folder and return what it printed and its exit code."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "evalharness", *arguments],
            cwd=tmp_path, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    return run


class CommandOutput(NamedTuple):
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., CommandOutput]:
    """The same in this process, which spares the imports: for commands that only need arguments."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> CommandOutput:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(list(arguments))
        return CommandOutput(code, *capsys.readouterr())

    return run


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
