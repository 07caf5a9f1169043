"""``evalharness init``."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from evalharness.cli import main
from evalharness.cli.project.config_schema import config_schema
from evalharness.cli.project.starter_kinds import KINDS, Kind
from tests.cli.conftest import Command

SHOWN = {
    "qa": "score: includes",
    "classification": "macro F1",
    "extraction": "score: json_equal",
    "chat": "score: checks",
    "load": "goodput",
}


def run_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evalharness", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=200, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_starter_project_runs_as_it_is(evalharness: Command, tmp_path: Path) -> None:
    """init, then run experiment=mine: its configs and dataset are used."""
    assert evalharness("init", "proj").returncode == 0
    done = run_in(tmp_path / "proj", "run", "experiment=mine", "repeats=1")
    assert done.returncode == 0, done.stderr
    assert "3 prompts × 2 settings" in done.stdout
    assert (tmp_path / "proj" / "results" / "mine" / "run.json").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_printed_command_and_the_workflow_run(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What init prints runs in the project, and then what CI runs: gates and a summary."""
    project = tmp_path / "proj"
    assert main(["init", str(project), "--kind", kind]) == 0
    _, _, typed = capsys.readouterr().out.splitlines()[-1].partition("&& ")
    _, *command = shlex.split(typed)
    done = run_in(project, *command, "provider=emulator")
    assert done.returncode == 0, done.stderr
    assert SHOWN[kind] in done.stdout
    workflow = yaml.safe_load((project / ".github/workflows/evaluation.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["evaluation"]["steps"] if "run" in step]
    assert f"{typed} --yes" in steps
    for step in steps[2:]:
        _, *words = shlex.split(step.partition(">>")[0])
        checked = run_in(project, *words)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    readme = (project / "README.md").read_text()
    for line in re.findall(r"^evalharness (.+)$", readme, re.MULTILINE)[1:]:
        shown = run_in(project, *shlex.split(line))
        assert shown.returncode == 0, f"{line}: {shown.stderr}"


@pytest.mark.parametrize("kind", KINDS)
def test_editors_find_the_schema(kind: Any, tmp_path: Path) -> None:
    """Each configuration file names a schema that is there, is current, and holds for the file."""
    assert set(KINDS) == set(get_args(Kind))
    assert main(["init", str(tmp_path), "--kind", kind]) == 0
    files = sorted(tmp_path.glob("configs/*/*.yaml"))
    assert [path.parent.name for path in files] == ["experiment", "sweep"]
    for path in files:
        text = path.read_text()
        named = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", text, re.MULTILINE)
        schema = json.loads((path.parent / named[0]).read_text())
        assert schema == config_schema(path.parent.name)  # pyright: ignore[reportArgumentType]
        jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second init in the same folder stops, naming the file; a README that is there is kept."""
    project = tmp_path / "p"
    project.mkdir()
    (project / "README.md").write_text("mine\n")
    assert main(["init", str(project)]) == 0
    assert "kept as they are: README.md" in capsys.readouterr().out
    assert (project / "README.md").read_text() == "mine\n"
    (project / "datasets" / "mine.jsonl").write_text("mine\n")
    assert main(["init", str(project)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (project / "datasets" / "mine.jsonl").read_text() == "mine\n"
