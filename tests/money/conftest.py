"""What the money tests share: small runs written by hand, the command, an emulator."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evalharness.cli import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]
PRICES = {
    "prices": [
        {"model": "m*", "price_usd_per_mtok": {"prompt": 1, "cached": "0.1", "completion": 4}},
        {
            "model": "thinker",
            "price_usd_per_mtok": {"prompt": 1, "completion": 2, "reasoning": 8},
            "tiers": [
                {
                    "above_prompt_tokens": 100,
                    "price_usd_per_mtok": {"prompt": 3, "completion": 6, "reasoning": 24},
                }
            ],
            "per_request_usd": "0.001",
        },
    ]
}
# The emulator's own prices, so that what is computed is what it bills.
EMULATOR_PRICE = (
    'pricing.prices=[{provider: emulator, model: "*", '
    "price_usd_per_mtok: {prompt: 0.4, cached: 0.16, completion: 1.2, reasoning: 4}}]"
)


@pytest.fixture
def evalharness(tmp_path: Path) -> Command:
    """Run ``evalharness …`` in a fresh folder and return what it printed and its exit code."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "evalharness", *arguments],
            cwd=tmp_path, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


class Outcome(NamedTuple):
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """The same in this process, which spares the imports: for commands that only need arguments."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> Outcome:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(list(arguments))
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A dataset of 24 prompts of different lengths."""
    path = tmp_path / "prompts.jsonl"
    rows = [
        {"id": f"p{i}", "prompt": f"Tell me about number {i}. " + "Please be exact. " * (i % 7)}
        for i in range(24)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@contextlib.contextmanager
def emulator(*arguments: str) -> Iterator[str]:
    """An emulator on a free port for the length of the block; gives its base URL."""
    command = [sys.executable, "-m", "evalharness.emulator", "--exit-with-parent"]
    with subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["base_url"]
        finally:
            process.stdin.close()
            process.wait(30)


def ledger(path: Path) -> list[dict[str, Any]]:
    """What the emulator really served and billed."""
    return [json.loads(line) for line in path.read_text().splitlines()]
