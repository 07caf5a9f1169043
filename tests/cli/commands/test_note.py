"""`evalharness note`: a note and tags beside a run, and nothing else changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evalharness.store.folder.lock import take_lock
from tests.cli.conftest import CommandOutput
from tests.imported_run import write_run

Run = Callable[..., CommandOutput]


@pytest.fixture
def run(in_process: Run, work: Path) -> Run:
    for name in ("night-1", "night-2", "other"):
        write_run([{"prompt_id": "p", "text": "yes"}], name)
    return in_process


def _stored(name: str) -> object:
    return json.loads(Path("results", name, "notes.json").read_text())


def test_a_note_and_tags(run: Run) -> None:
    """Flags before or behind the text; what is not given stays; an empty text takes it away."""
    assert run("note", "other", "--tag", "x", "a = b", "--tag", "y").returncode == 0
    assert _stored("other") == {"note": "a = b", "tags": ["x", "y"]}
    run("note", "other", "--untag", "x", "--tag", "z", "--tag", "y")
    assert _stored("other") == {"note": "a = b", "tags": ["y", "z"]}
    assert run("note", "other").stdout == "other: tags y, z; note: a = b\n"
    run("note", "other", "")
    assert _stored("other") == {"note": None, "tags": ["y", "z"]}
    assert run("note", "other", "--untag", "q").stderr == "other has no tag `q`\n"


def test_nothing_else_changes(run: Run) -> None:
    """Not while another process holds the run, and no byte of the run's own files."""
    root = Path("results/other")
    lock = take_lock(root)
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert run("note", "other", "text", "--tag=x").returncode == 0
    after = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert after.pop(root / "notes.json")
    assert after == before
    os.close(lock)
    assert run("verify", "other").returncode == 0
    assert run("report", "other").returncode == 0


def test_several_runs(run: Run) -> None:
    """A pattern stands for all runs that it matches."""
    assert run("note", "night-*", "--tag=nightly").returncode == 0
    assert _stored("night-1") == _stored("night-2") == {"note": None, "tags": ["nightly"]}
    assert not Path("results/other/notes.json").exists()


@pytest.mark.parametrize("tag", ["", "two words", "a,b", "\x1b[2J"])
def test_a_tag_is_one_word(run: Run, tag: str) -> None:
    """So that a list of them can be read again; nothing is written."""
    assert run("note", "other", f"--tag={tag}").returncode == 2
    assert not Path("results/other/notes.json").exists()


def test_what_is_wrong_is_said(run: Run) -> None:
    """No such run, a flag that is misspelt, a damaged file that is not overwritten."""
    assert "no run `othr`" in run("note", "othr", "x").stderr
    assert "--tag" in run("note", "other", "--tga", "x").stderr
    Path("results/other/notes.json").write_text("{")
    assert "notes.json is damaged" in run("note", "other", "x").stderr
    assert Path("results/other/notes.json").read_text() == "{"


def test_one_damaged_run_keeps_no_note_from_the_others(run: Run) -> None:
    """It is named; the exit code is that of its error."""
    Path("results/night-1/notes.json").write_text("{")
    noted = run("note", "*", "--tag", "x")
    assert noted.returncode == 74
    assert "night-1: unchanged: " in noted.stderr
    assert _stored("night-2") == _stored("other") == {"note": None, "tags": ["x"]}
    assert Path("results/night-1/notes.json").read_text() == "{"


def test_a_second_run_is_no_note(run: Run) -> None:
    """As a shell makes of an unquoted pattern; a text that only names a run is one."""
    refused = run("note", "night-1", "night-2", "--tag", "x")
    assert refused.returncode == 2
    assert "`night-1 night-2` are several runs" in refused.stderr
    assert not Path("results/night-1/notes.json").exists()
    assert run("note", "night-1", "same", "as", "night-2").returncode == 0


def test_a_note_is_text(run: Run) -> None:
    """Bytes of another encoding reach a program as lone surrogates, which no file can hold."""
    refused = run("note", "other", "b\udcff")
    assert refused.returncode == 2
    assert "UTF-8" in refused.stderr
