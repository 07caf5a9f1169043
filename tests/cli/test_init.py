"""``evalharness init`` and the endpoints of ``serve``."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
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


def test_serve_emulator_answers_chat_completions() -> None:
    """The endpoint says where it listens and answers a request."""
    process = subprocess.Popen(
        [sys.executable, "-m", "evalharness", "serve", "emulator", "--exit-with-parent"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    base_url = json.loads(process.stdout.readline())["base_url"]
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        f"{base_url}/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    assert answer["choices"][0]["message"]["content"]
    process.stdin.close()
    assert process.wait(timeout=30) == 0
    process.stdout.close()
