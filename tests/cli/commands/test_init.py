"""``evalharness init``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evalharness.cli import main
from tests.cli.conftest import Command


def test_a_starter_project_runs_as_it_is(evalharness: Command, tmp_path: Path) -> None:
    """init, then run experiment=mine: its configs and dataset are used."""
    assert evalharness("init", "proj").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "evalharness", "run", "experiment=mine", "repeats=1"],
        cwd=tmp_path / "proj", capture_output=True, text=True, timeout=200, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 prompts × 2 settings" in done.stdout
    assert (tmp_path / "proj" / "results" / "mine" / "run.json").exists()


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second init in the same folder stops, naming the file."""
    assert main(["init", str(tmp_path / "p")]) == 0
    (tmp_path / "p" / "datasets" / "mine.jsonl").write_text("mine\n")
    assert main(["init", str(tmp_path / "p")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "p" / "datasets" / "mine.jsonl").read_text() == "mine\n"
