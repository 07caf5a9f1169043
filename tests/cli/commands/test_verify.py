"""`evalharness verify`, and what every command says of a folder that is damaged or not there."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import CommandOutput
from tests.imported_run import Rows, write_run

Run = Callable[..., CommandOutput]

ROWS: Rows = [
    {"prompt_id": f"p{p}", "temperature": t, "text": "yes", "score": 1.0}
    for p in range(3)
    for t in (0, 1)
]
# Every command that reads a run.
READERS = [
    ("report", "r"), ("show", "r", "p0"), ("export", "r", "--format=csv"), ("reconcile", "r"),
    ("check", "r", "--min-score=0"), ("compare", "r", "--by=temperature"),
    ("judge", "r", "provider=local"),
]  # fmt: skip


def _answers(in_process: Run) -> set[tuple[int, str]]:
    """Exit code and words of every command that reads the run, without the command's own part."""
    done = [in_process(*reader) for reader in READERS]
    return {(each.returncode, each.stderr) for each in done}


def test_repair_says_what_it_could_not_know(in_process: Run, work: Path) -> None:
    """verify leads to --repair; typed, the run is read again, and what was lost is told."""
    write_run(ROWS)
    (work / "results/r/run.json").write_bytes(b"")
    found = in_process("verify", "r")
    assert found.returncode == 1
    assert "run.json: results/r/run.json is empty" in found.stdout
    assert "evalharness verify r --repair rebuilds run.json" in found.stdout
    repaired = in_process("verify", "r", "--repair")
    assert (repaired.returncode, repaired.stderr) == (0, "")
    assert "not known any more:\n  its sessions" in repaired.stdout
    assert "run.json was rebuilt; not known: " in in_process("report", "r").stdout
    again = in_process("verify", "r", "--repair")
    assert "nothing was rebuilt" in again.stdout
    (work / "results/r/prompts.parquet").unlink()
    assert (
        "→ rm -r results/r, and the same evalharness import"
        in in_process("verify", "r", "--repair").stdout
    )
    assert json.loads(in_process("verify", "r", "--json").stdout)["lost"] is None


@pytest.mark.parametrize("damage", ["empty", "missing", "garbage"])
def test_every_command_leads_to_the_repair(in_process: Run, work: Path, damage: str) -> None:
    """One sentence for all, and exit code 2."""
    write_run(ROWS)
    path = work / "results/r/run.json"
    path.unlink()
    if damage != "missing":
        path.write_bytes(b"" if damage == "empty" else b'{"name": 3')
    ((code, words),) = _answers(in_process)
    assert code == 2
    assert words.count("\n") == 2
    hint = words.partition("→ evalharness ")[2].removesuffix(" rebuilds it\n")
    assert in_process(*hint.split()).returncode == 0
    assert in_process("report", "r").returncode == 0


def test_every_command_says_that_the_records_are_lost(in_process: Run, work: Path) -> None:
    """Not: that there are none yet; and nothing empty is shown or exported."""
    write_run(ROWS)
    shutil.rmtree(work / "results/r/records")
    ((code, words),) = _answers(in_process)
    assert code == 74
    assert "records/part-000001.parquet and every other file of records are missing" in words


@pytest.mark.parametrize("table", ["prompts", "settings"])
def test_commands_say_that_the_plan_is_lost(in_process: Run, work: Path, table: str) -> None:
    """An output is not shown under no setting, nor exported without its prompt."""
    write_run(ROWS)
    (work / f"results/r/{table}.parquet").unlink()
    readers = [reader for reader in READERS if reader[0] not in ("judge", "reconcile")]
    done = [in_process(*reader) for reader in readers]
    ((code, words),) = {(each.returncode, each.stderr) for each in done}
    assert code == 2
    assert "has 6 records, and none is of the settings and prompts that its folder" in words
    assert "→ rm -r results/r, and the same evalharness import makes it again" in words


RUN = [
    "run", "provider=emulator", "name=s", "sweep=none", "scoring=includes", "dataset.limit=2",
    "repeats=1",
]  # fmt: skip


@pytest.fixture
def emulated(in_process: Run, work: Path) -> Path:
    """The folder of a run `s` of two trials."""
    assert in_process(*RUN).returncode == 0
    return work / "results/s"


def test_run_refuses_what_has_lost_its_manifest(in_process: Run, emulated: Path) -> None:
    """It is not replaced by a new one; a folder that was only begun goes on."""
    (emulated / "run.json").unlink()
    for command in (RUN, ["plan", *RUN[1:]]):
        refused = in_process(*command)
        assert refused.returncode == 74
        assert "→ evalharness verify results/s --repair rebuilds it" in refused.stderr
    assert not (emulated / "run.json").exists()
    assert in_process("verify", "results/s", "--repair").returncode == 0
    assert "nothing to send" in in_process(*RUN).stderr
    for child in emulated.iterdir():
        if child.name != "run.lock":
            shutil.rmtree(child) if child.is_dir() else child.unlink()
    assert in_process(*RUN).returncode == 0


@pytest.mark.parametrize(
    "name",
    ["prompts.parquet", "settings.parquet", "records/part-000001.parquet",
     "attempts/part-000001.parquet", "config.yaml", "journal/journal.sqlite"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_verify_says_a_way_on_that_works(
    in_process: Run, emulated: Path, name: str, damage: str
) -> None:
    """What it says to type is typed, and the same run makes the folder whole again."""
    file = emulated / name
    file.unlink()
    if damage == "garbage":
        file.write_bytes(b"\xff" * 9000)
        for log in emulated.glob("journal/*-*"):
            log.unlink()
    found = in_process("verify", "s")
    if found.returncode == 0:
        assert (name, damage) == ("journal/journal.sqlite", "missing")  # all of it is sealed
        return
    way = found.stdout.partition("→ ")[2]
    assert "the same evalharness run, once more" in way
    if "mv " in way:
        away = shlex.split(way[way.index("mv ") :].partition(", then")[0])
        shutil.move(away[1], away[2])
    if name.startswith(("prompts", "settings")) and damage == "missing":
        assert f"once more, writes {name} again" in in_process("report", "s").stderr
        assert "imported" not in in_process("report", "s", "--all").stdout
    assert in_process(*RUN).returncode == 0
    assert in_process("verify", "s").returncode == 0
    assert in_process("report", "s").returncode == 0


@pytest.mark.parametrize(
    ("typed", "said", "unsaid"),
    [
        ("qick", "no run `qick`: neither results/qick nor ./qick holds a run.json", ""),
        ("qick", "did you mean quick? runs here: quick", ""),
        ("/nowhere/quick", "no run `/nowhere/quick`: /nowhere/quick holds no run.json", "neither"),
        (
            "results/none",
            "no run `results/none`: results/none holds no run.json",
            "results/results",
        ),
    ],
)
def test_a_run_that_is_not_there(
    in_process: Run, work: Path, typed: str, said: str, unsaid: str
) -> None:
    """No place is named twice, and a name that is close is proposed."""
    write_run(ROWS, "quick")
    done = in_process("report", typed)
    assert done.returncode == 2
    assert said in done.stderr
    assert not unsaid or unsaid not in done.stderr


def test_commands_for_a_run_elsewhere_name_its_path(in_process: Run, work: Path) -> None:
    """What a report proposes can be typed, also of a run outside results/."""
    write_run([{**row, "score": None, "target": "yes"} for row in ROWS])
    shutil.move(work / "results/r", work / "far away")
    shown = " ".join(in_process("report", "far away").stdout.split())
    assert "evalharness report 'far away' scoring=exact" in shown
    assert in_process("report", "far away", "scoring=exact").returncode == 0
    page = in_process("report", "far away", "--html", "page.html")
    assert page.returncode == 0
    assert "report &#39;far away&#39; --json" in (work / "page.html").read_text("utf-8")
