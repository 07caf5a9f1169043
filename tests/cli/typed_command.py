"""The command as typed, in a process of its own and the folder of this one."""

from __future__ import annotations

import os
import subprocess
import sys


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, as typed."""
    return subprocess.run(
        [sys.executable, "-m", "evalharness", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip
