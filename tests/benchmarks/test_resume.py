"""``benchmarks/resume.py`` in its small form: the counts hold; times are for people."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_what_is_left_among_recorded_trials_is_what_was_left_out() -> None:
    """2,000 trials, about 20 left out: a resumed run finds exactly these, and all the rest is sound."""
    command = [sys.executable, "-m", "benchmarks.resume", "--trials", "2000", "--missing", "20"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    made, decided, verified = map(json.loads, done.stdout.splitlines())
    assert decided["planned"] == 2000
    assert decided["left"] == 20
    assert made["made"] == verified["records"] == 1980
