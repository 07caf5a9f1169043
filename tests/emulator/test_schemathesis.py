"""schemathesis, run from outside on the shipped OpenAPI, finds no violation."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from tests.emulator.conftest import Server

ARGUMENTS = ("--profile", "aimlapi")
# The document lists no response but 200, so every refusal of an invalid request is "undocumented";
# with valid requests alone the check applies, and nothing is left out.
UNDOCUMENTED = ("--exclude-checks", "status_code_conformance")


@pytest.mark.parametrize(
    ("mode", "left_out"),
    [("positive", ()), ("negative", UNDOCUMENTED)],
    ids=lambda value: str(value),
)
def test_no_violation_is_found(
    server: Server, tmp_path: Path, mode: str, left_out: tuple[str, ...]
) -> None:
    """Valid requests are accepted and answered to schema, invalid ones refused, never a 5xx."""
    document = resources.files("evalharness.providers.emulator").joinpath("openapi.json")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", server.root),
        *("--mode", mode, "--max-examples", "60", "--seed", "1", "--checks", "all", *left_out),
        *("--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"),
    ]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert server.stats()["requests"] > 60
