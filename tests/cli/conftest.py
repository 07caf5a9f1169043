"""The command as a user runs it: a process of its own in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
