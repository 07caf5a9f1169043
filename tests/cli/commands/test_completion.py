"""`evalharness completion`: what the Tab key completes, in the shells themselves."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evalharness.cli import main
from evalharness.cli.command_list import COMMANDS
from evalharness.cli.shell_completion import candidates
from tests.cli.terminal import program_on_terminal

# What is typed before the Tab key, and the word it becomes.
LINES = [
    ("evalharness rec", "reconcile"),
    ("evalharness report qui", "quick-run"),
    ("evalharness report quick-run --markd", "--markdown"),
    ("evalharness export quick-run --format json", "jsonl"),
    ("evalharness run --retry", "--retry-errors"),
    ("evalharness run provider=openr", "provider=openrouter"),
    ("evalharness plan limits.max_c", "limits.max_cost_usd="),
    ("evalharness serve emulator --logs-r", "--logs-rpm"),
    ("evalharness check quick-run --junit rep", "report.xml"),  # a file, by the shell
]
INTERACTIVE = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a run and a file, and the program in `bin/`."""
    (tmp_path / "results" / "quick-run").mkdir(parents=True)
    (tmp_path / "results" / "quick-run" / "run.json").write_text("{}")
    (tmp_path / "report.xml").write_text("")
    program = tmp_path / "bin" / "evalharness"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m evalharness "$@"\n')
    program.chmod(0o755)
    return tmp_path


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "PS1": "ready> ",
    }


@pytest.mark.parametrize("shell", INTERACTIVE)
def test_the_tab_key_in_an_interactive_shell(shell: str, folder: Path) -> None:
    """Typed on a terminal, as a person does."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    steps = [("ready> ", f'eval "$(evalharness completion {shell})"; echo lo""aded\n')]
    seen = "loaded"
    for number, (typed, word) in enumerate(LINES):
        steps.append((seen, f"{typed}\t"))
        # The line is given up, and the next is typed when that has been seen.
        steps.append((word, f'\x15echo do""ne-{number}\n'))
        seen = f"done-{number}"
    steps.append((seen, "exit\n"))
    screen = program_on_terminal(
        folder, INTERACTIVE[shell], answers=tuple(steps), environment=_environment(folder)
    )
    assert screen.returncode == 0


def test_completion_in_fish(folder: Path) -> None:
    """Fish says itself what it would complete."""
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    asked = [f"complete -C {shlex.quote(typed)}; echo ---" for typed, _ in LINES]
    script = "; ".join(["evalharness completion fish | source", *asked])
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=folder, env={**os.environ, **_environment(folder)},
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    answers = [answer.split() for answer in done.stdout.split("---")]
    assert [answer[:1] for answer in answers[:-1]] == [[word] for _, word in LINES]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([""], [*COMMANDS, "--help", "--version"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["serve", "l"], ["local"]),
        (["report", "a", "sc"], ["scoring="]),
        (["judge", "quick-run", "mo"], ["mode=", "model="]),
        (["plan", "--from", "q"], ["quick-run"]),
        (["run", "limits.nothing"], []),
        (["nothing", ""], []),
        (["report", "--html", ""], []),  # the shell completes names of files
    ],
)
def test_candidates(
    words: list[str], found: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could be typed, for every shell."""
    monkeypatch.chdir(folder)
    assert candidates(words) == found


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names those there are."""
    assert main(["completion", "tcsh"]) == 2
    shown = capsys.readouterr().err
    assert all(shell in shown for shell in ("bash", "zsh", "fish"))
