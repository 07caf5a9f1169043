"""Hydra's other launchers run independent jobs, one run folder each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import evalharness as package


def test_joblib_runs_each_job_into_a_folder_of_its_own(tmp_path: Path) -> None:
    """`-m hydra/launcher=joblib`: two jobs in processes of their own, each with its setting."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="it is not installed")
    command = [
        sys.executable, "-m", "evalharness", "run", "-m", "hydra/launcher=joblib",
        "params.seed=1,2", "provider=emulator", "dataset.limit=2", "repeats=2", "sweep=none",
        "name=job", "--yes",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = [package.load(tmp_path / "results" / f"job-{number}") for number in (0, 1)]
    params = [json.loads(run.settings()["params_json"][0]) for run in runs]
    assert [one["seed"] for one in params] == [1, 2]
    assert [len(run.records()) for run in runs] == [4, 4]
