"""`evalharness list`: every run of a folder as a line, damaged ones too."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalharness.store.folder.lock import take_lock
from tests.cli.conftest import CommandOutput
from tests.imported_run import Rows, write_run
from tests.store.sample_run import fill, open_store

Run = Callable[..., CommandOutput]


def _rows(model: str, score: float = 1.0) -> Rows:
    """Two prompts × two settings × two repeats; the second setting scores half."""
    return [
        {"prompt_id": f"p{p}", "model": model, "temperature": t, "text": "yes",
         "score": score / (1 + t)}
        for p in range(2) for t in (0, 1) for _ in range(2)
    ]  # fmt: skip


def _change_manifest(name: str, **changes: Any) -> None:
    path = Path("results", name, "run.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _json(run: Run, *arguments: str) -> list[dict[str, Any]]:
    done = run("list", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _names(run: Run, *arguments: str) -> list[str]:
    return [row["name"] for row in _json(run, *arguments)]


@pytest.fixture
def three(in_process: Run, work: Path) -> Run:
    """Runs a, b, c: begun one after the other, by two models, the middle one the best."""
    for name, model, score in (("a", "qwen-plus", 0.4), ("b", "gpt", 0.8), ("c", "Qwen-max", 0.6)):
        write_run(_rows(model, score), name)
        day = "abc".index(name) + 1
        _change_manifest(name, created_at=f"2026-11-0{day}T08:00:00+00:00")
    return in_process


def test_a_row_has_what_manifest_and_report_know(three: Run) -> None:
    """Size from the plan, figures from the report, lowest and highest over the settings."""
    before = next(row for row in _json(three) if row["name"] == "b")
    assert (before["score"], before["agreement"], before["cost_unknown"]) == (None, None, None)
    assert "3 without a report" in three("list").stderr
    row = next(row for row in _json(three, "--compute") if row["name"] == "b")
    report = json.loads(three("report", "b", "--json").stdout)
    scores = [setting["score"]["mean"] for setting in report["settings"]]
    assert row["score"] == {"min": min(scores), "max": max(scores)} == {"min": 0.4, "max": 0.8}
    assert row["agreement"] == {"min": 1.0, "max": 1.0}
    assert (row["settings"], row["prompts"], row["records"]) == (2, 2, 8)
    assert (row["models"], row["status"], row["errors"]) == (["gpt"], "imported", 0)
    assert (row["cost_usd"], row["cost_unknown"]) == (None, 8)
    shown = three("list").stdout
    assert "40–80 %" in shown
    assert "2026-11-02 08:00" in shown
    # The figures are of these records alone: the run goes on, and nobody knows them.
    _change_manifest("b", updated_at="2027-01-01T00:00:00+00:00")
    assert next(row for row in _json(three) if row["name"] == "b")["score"] is None


def test_order(three: Run) -> None:
    """Newest and best first, names from A to Z, unknown last either way."""
    assert _names(three) == ["c", "b", "a"]
    assert _names(three, "--reverse") == ["a", "b", "c"]
    assert _names(three, "--sort=name") == ["a", "b", "c"]
    _json(three, "--compute")
    Path("results/b/summary.json").unlink()
    assert _names(three, "--sort=score") == ["c", "a", "b"]
    assert _names(three, "--sort=score", "--reverse") == ["a", "c", "b"]


def test_filters(three: Run) -> None:
    """By a part of a model's name, by date, by all of several tags; and runs by pattern."""
    assert _names(three, "--model=qwen") == ["c", "a"]
    assert _names(three, "--model=*-plus", "--model=gpt") == ["b", "a"]
    assert _names(three, "--since=2026-11-02") == ["c", "b"]
    assert _names(three, "--since=2026-11-02T08:00:01") == ["c"]
    assert three("list", "--since=soon").returncode == 2
    three("note", "[ab]", "--tag=nightly")
    three("note", "a", "--tag=release")
    assert _names(three, "--tag=nightly") == ["b", "a"]
    assert _names(three, "--tag=nightly", "--tag=release") == ["a"]
    assert _names(three, "[bc]") == ["c", "b"]
    assert "2 of 3 runs" in three("list", "--tag=nightly").stderr


def test_other_folders(three: Run, work: Path) -> None:
    """A results root anywhere, also by URL; what is no folder of runs is said."""
    _json(three, "--compute")
    here = _json(three)
    shutil.move("results", "other")
    assert three("list").stderr == "no runs yet; evalharness run makes one\n"
    moved = _json(three, "other")
    assert [row.pop("run") for row in moved] == ["other/c", "other/b", "other/a"]
    stored = _json(three, f"file://{work}/other")
    assert [row.pop("run") for row in stored] == [f"file://{work}/other/{n}" for n in "cba"]
    assert moved == stored == [{k: v for k, v in row.items() if k != "run"} for row in here]
    assert _names(three, f"file://{work}/other/[ab]") == ["b", "a"]
    assert three("list", "nowhere").returncode == 2


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda root: (root / "run.json").write_bytes(b"{"), "is damaged"),
        (lambda root: (root / "run.json").unlink(), "is missing"),
        (lambda root: shutil.rmtree(root / "records"), "every file of records is missing"),
        (lambda root: (root / "run.json").write_bytes(b'{"schema_version": 99}'), "run.json"),
    ],
)
def test_damage_is_listed(three: Run, damage: Callable[[Path], None], problem: str) -> None:
    """A damaged folder is a line of its own, with its tags, whatever is asked for by model."""
    three("note", "b", "--tag=nightly")
    damage(Path("results/b"))
    row = next(row for row in _json(three, "--model=qwen") if row["name"] == "b")
    assert (row["status"], row["tags"], row["records"]) == ("damaged", ["nightly"], None)
    assert problem in row["problem"]
    shown = three("list")
    assert problem in shown.stdout
    assert "1 damaged: evalharness verify b" in shown.stderr
    assert shown.returncode == 0


def test_a_damaged_file_beside_the_manifest_costs_only_its_figures(three: Run) -> None:
    """The run itself is fine; what cannot be read is named."""
    _json(three, "--compute")
    Path("results/a/summary.json").write_bytes(b"{")
    Path("results/a/notes.json").write_bytes(b"[]")
    row = _json(three)[-1]
    assert (row["status"], row["records"], row["models"]) == ("imported", 8, ["qwen-plus"])
    assert "summary.json" in row["problem"]
    assert "notes.json" in row["problem"]


async def test_a_run_that_goes_on(in_process: Run, work: Path) -> None:
    """Records of the journal count, and it can be given a note."""
    root = work / "results" / "x"
    store = open_store(root)
    await fill(store, range(2))
    row = _json(in_process)[0]
    assert (row["status"], row["records"], row["planned"]) == ("running", 2, 3)
    assert (row["settings"], row["prompts"], row["repeats"]) == (1, 3, 1)
    assert "2 of 3" in in_process("list").stdout
    in_process("note", "x", "while it goes on")
    await store.finish(status="interrupted", reason=None)
    row = _json(in_process)[0]
    assert (row["status"], row["records"], row["errors"]) == ("interrupted", 2, 0)
    assert row["note"] == "while it goes on"


def test_a_killed_process_does_not_run(three: Run) -> None:
    """The manifest still says `running`; the process that the lock names is not there."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    _change_manifest("c", status="running")
    os.close(take_lock(Path("results/c")))
    assert _json(three)[0]["status"] == "running"
    lock = Path("results/c/run.lock")
    lock.write_text(f"process {ended.pid} on {socket.gethostname()}")
    assert _json(three)[0]["status"] == "interrupted"


def test_texts_of_others_cannot_move_the_cursor(three: Run) -> None:
    """A note is printed on one line, without control sequences."""
    three("note", "a", "one\ntwo \x1b[2Jthree")
    shown = three("list").stdout
    assert "one⏎two three" in shown
    assert "\x1b" not in shown


def test_no_record_is_read(three: Run) -> None:
    """A thousand runs are listed from small files: a part that cannot be read changes nothing."""
    _json(three, "--compute")
    whole = _json(three)
    for part in Path("results").glob("*/records/*.parquet"):
        part.write_bytes(b"")
    assert _json(three) == whole


def test_a_place_is_itself_before_it_is_a_pattern(three: Run) -> None:
    """A run whose name looks like a pattern, by its name and by its path."""
    Path("results/a").rename("results/a [1]*?")
    assert _names(three, "a [1]*?") == _names(three, "results/a [1]*?") == ["a [1]*?"]


def test_a_link_is_typed_by_its_own_name(three: Run) -> None:
    """What the list shows is what another command takes."""
    Path("results/link").symlink_to(Path("results/a").resolve())
    assert {row["run"] for row in _json(three)} == {"a", "b", "c", "link"}


def test_hints_of_a_list_are_what_helps(three: Run) -> None:
    """--compute only where it writes something; a folder without runs; quoted names."""
    _change_manifest("a", status="running")
    lock = take_lock(Path("results/a"))
    Path("results/a/summary.json").unlink(missing_ok=True)
    Path("results/b").rename("results/b d")
    Path("results/b d/run.json").write_text("{")
    words = three("list", "a", "b d").stderr
    os.close(lock)
    assert "--compute" not in words
    assert "evalharness verify 'b d' says more" in words
    Path("empty").mkdir()
    assert three("list", "empty").stderr == "no runs in empty\n"


def test_columns_that_do_not_fit_are_on_further_lines(
    three: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``COLUMNS`` is the width, as of the other tables; a pipe without it has a line a run."""
    assert three("list").stdout.count("\n") == 4
    monkeypatch.setenv("COLUMNS", "60")
    lines = three("list").stdout.splitlines()
    assert max(map(len, lines)) <= 60
    assert [line[:4].strip() for line in lines] == ["run", "", "c", "", "b", "", "a", ""]
    assert lines[1].index("records") == lines[3].index("8")
