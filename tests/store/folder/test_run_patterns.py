"""Patterns in the place of runs, in every command that takes one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import evalharness
from evalharness.cli import main
from evalharness.errors import RunNotFoundError
from evalharness.store.folder.run_patterns import expand_runs
from tests.imported_run import write_run

ROWS: list[dict[str, object]] = [
    {"prompt_id": f"p{p}", "temperature": t, "text": "yes", "score": 1.0}
    for p in range(3)
    for t in (0, 1)
]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """A command in a folder with the runs night-1, night-2 and day."""
    monkeypatch.chdir(tmp_path)
    for name in ("night-2", "night-1", "day"):
        write_run(ROWS, name)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_runs_of_a_pattern(command: object) -> None:
    """By name, in order, each once; a path gives paths; a folder without a run is none."""
    Path("results/night-3").mkdir()
    assert expand_runs(["night-*"]) == ["night-1", "night-2"]
    assert expand_runs(["night-2", "*"]) == ["night-2", "day", "night-1"]
    assert expand_runs(["night-?", "day"]) == ["night-1", "night-2", "day"]
    assert expand_runs(["results/n*[2]"]) == ["results/night-2"]
    with pytest.raises(RunNotFoundError, match=r"no run matches `week-\*`"):
        expand_runs(["week-*"])
    Path("results/night-3/records").mkdir()  # it has lost its manifest: that must not pass unseen
    assert expand_runs(["night-*"])[-1] == "night-3"


def test_commands_of_several_runs(command: Callable[..., tuple[int, str, str]]) -> None:
    """report and compare take all of them, and so does evalharness.load."""
    code, out, _ = command("report", "night-*", "--json")
    assert code == 0
    assert [report["run"]["name"] for report in json.loads(out)] == ["night-1", "night-2"]
    code, out, _ = command("compare", "night-*", "--json")
    assert code == 0
    assert {(row["a"], row["b"]) for row in json.loads(out)["comparisons"]}
    assert list(evalharness.load(["night-*"])) == ["night-1", "night-2"]


@pytest.mark.parametrize(
    "words",
    [("show", "RUN", "p0"), ("export", "RUN", "--format=csv"), ("check", "RUN", "--min-score=0.5"),
     ("verify", "RUN")],
)  # fmt: skip
def test_commands_of_one_run(
    command: Callable[..., tuple[int, str, str]], words: tuple[str, ...]
) -> None:
    """A pattern of one run is that run; of several it is refused by their names."""
    assert command(*(word.replace("RUN", "d*") for word in words))[0] == 0
    code, _, err = command(*(word.replace("RUN", "night-*") for word in words))
    assert code == 2
    assert "`night-*` matches 2 runs, and one is needed: night-1, night-2" in err
