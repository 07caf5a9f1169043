"""`evalharness mark`: what a person says of records, which stay as they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evalharness.store.folder.annotations import READER, read_annotations
from evalharness.store.folder.lock import take_lock
from tests.cli.conftest import CommandOutput
from tests.imported_run import write_run

Run = Callable[..., CommandOutput]
ROOT = Path("results/r")


@pytest.fixture
def run(in_process: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv(READER, "anna")
    rows = [
        {"prompt_id": p, "repeat": i, "text": f"{p}{i}", "temperature": t, "target": "p10"}
        for p in ("p1", "p2")
        for i in (0, 1)
        for t in (0, 1)
    ]
    write_run(rows)
    return in_process


def marks() -> dict[tuple[str, str, int], tuple[str | None, str | None]]:
    return {
        (row.reader, row.prompt_id, row.repeat): (row.mark and row.mark.value, row.note)
        for row in read_annotations(ROOT).rows
    }


def test_marks_and_notes(run: Run) -> None:
    """By prompt, setting and repeat, or by trial; while another process writes the run."""
    lock = take_lock(ROOT)
    before = {p: p.read_bytes() for p in ROOT.rglob("*") if p.is_file()}
    setting = ("--setting", "T=0")
    done = run("mark", "r", "--prompt", "p1", *setting, "--repeat", "1", "fail", "--note", "no")
    assert (done.returncode, done.stdout) == (0, "r: 1 record changed\n"), done.stderr
    assert marks() == {("anna", "p1", 1): ("fail", "no")}
    trial = read_annotations(ROOT).rows[0].trial_id
    run("mark", "r", trial, "pass")
    run("mark", "r", trial, "fail", "--reader", "bob")
    assert marks() == {("anna", "p1", 1): ("pass", "no"), ("bob", "p1", 1): ("fail", None)}
    assert run("mark", "r").stdout == (
        "r: anna: 1 pass, 0 fail, 1 with a note\nr: bob: 0 pass, 1 fail, 0 with a note\n"
    )
    run("mark", "r", trial, "clear")
    assert marks() == {("bob", "p1", 1): ("fail", None)}
    assert run("mark", "r", "--prompt", "p2", "pass").stdout == "r: 4 records changed\n"
    after = {p: p.read_bytes() for p in ROOT.rglob("*") if p.is_file()}
    assert after.pop(ROOT / "annotations.parquet")
    assert after == before
    assert lock


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("t-none", "pass"), "no record of this trial `t-none`"),
        (("--prompt", "none", "pass"), "no record of this prompt"),
        (("--prompt", "p1", "--setting", "warm", "pass"), "no setting is called 'warm'"),
        (("pass",), "no record is named"),
        (("--prompt", "p1"), "it is not said what to mark"),
        (("--prompt", "p1", "pas"), "it is not said what to mark"),
        (("--file", "none.csv"), "none.csv cannot be read"),
        (("--file", "none.csv", "pass"), "--file names the records itself"),
    ],
)
def test_what_is_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    done = run("mark", "r", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not read_annotations(ROOT).rows


def test_exported_and_read_again(run: Run) -> None:
    """As columns of records, and as a table, which `mark --file` takes into another run."""
    run("mark", "r", "--prompt", "p1", "--repeat", "0", "fail", "--note", "=1+1")
    assert run("export", "r", "--format", "jsonl", "--out", "out.jsonl").returncode == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert {(r["prompt_id"], r["repeat"], r["human_mark"], r["reader"]) for r in rows} == {
        ("p1", 0, "fail", "anna"), ("p1", 1, None, None), ("p2", 0, None, None),
        ("p2", 1, None, None),
    }  # fmt: skip
    run("export", "r", "--format", "csv", "--table", "marks", "--raw-cells", "--out", "marks.csv")
    with Path("marks.csv").open() as file:
        assert [row["mark"] for row in csv.DictReader(file)] == ["fail", "fail"]
    before = read_annotations(ROOT).rows
    for file in ("marks.csv", "out.jsonl"):
        (ROOT / "annotations.parquet").unlink()
        assert run("mark", "r", "--file", file).stdout == "r: 2 records changed\n"
        assert [(r.trial_id, r.mark, r.note, r.reader) for r in read_annotations(ROOT).rows] == [
            (r.trial_id, r.mark, r.note, r.reader) for r in before
        ]


def test_a_bad_file_changes_nothing(run: Run) -> None:
    """It is said which row is wrong."""
    Path("bad.jsonl").write_text('{"prompt_id":"p1","setting":"T=0","mark":"maybe"}\n')
    done = run("mark", "r", "--file", "bad.jsonl")
    assert done.returncode == 2
    assert "bad.jsonl, line 1: the mark is `maybe`" in done.stderr
    Path("bad.csv").write_text("prompt_id,setting,repeat,mark\np1,T=9,0,pass\n")
    assert (
        "bad.csv, row 2: run `r` has no such record" in run("mark", "r", "--file", "bad.csv").stderr
    )
    assert not read_annotations(ROOT).rows


def test_scores_shown(run: Run) -> None:
    """`scoring=human` in report, show and export; show says who said what."""
    run("mark", "r", "--prompt", "p1", "pass", "--note", "fine")
    report = json.loads(run("report", "r", "scoring=human", "--json").stdout)
    assert report["marks"]["passed"] == 4
    assert report["settings"][0]["score"]["mean"] == 1.0
    assert "pass by anna (fine)" in run("show", "r", "p1", "scoring=human").stdout
    assert "human not scored: not marked" in run("show", "r", "p2", "scoring=human").stdout
    exported = run("export", "r", "--format", "jsonl", "scoring=human").stdout.splitlines()
    assert [json.loads(line)["score"] for line in exported].count(1.0) == 4
    gate = run("check", "r", "scoring=human", "--min-score", "0.9")
    assert gate.returncode == 0, gate.stderr
