"""``evalharness show``, and pages the user asks for."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli.commands.import_ import import_file
from tests.cli.typed_command import run

Row = dict[str, Any]


ESCAPES = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202egnp.exe \x08"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a run called `mine`: two prompts, two temperatures, two repeats."""
    monkeypatch.chdir(tmp_path)
    said = {
        ("p/1", 0): ["the answer is 41 today", "the answer is 42 today"],
        ("p/1", 1): [ESCAPES, "plain"],
        ("p2", 0): ["=1+1", "=1+1"],
        ("p2", 1): ["x", "x"],
    }
    rows = [
        {"prompt_id": p, "temperature": t, "text": text, "model": "m"}
        for (p, t), texts in said.items()
        for text in texts
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file("rows.jsonl", "mine", [])
    return tmp_path


def test_show_diffs_the_two_commonest_word_by_word(folder: Path) -> None:
    """What is only in one of them is bracketed; a setting that agrees is shown as it is."""
    shown = run("show", "mine", "p/1", "--diff").stdout
    assert "the answer is [-41-]{+42+} today" in shown
    assert "{+" not in run("show", "mine", "p2", "--diff").stdout.split("[-only")[0]


def test_no_escape_sequence_reaches_the_terminal(folder: Path) -> None:
    """Colours, titles, backspaces and direction overrides of a model stay out, in every view."""
    for arguments in (
        ("show", "mine", "p/1"),
        ("show", "mine", "p/1", "--diff"),
        ("report", "mine"),
    ):
        shown = run(*arguments, FORCE_COLOR="", TERM="dumb").stdout
        assert shown
        assert not set("\x1b\x07\x08\u202e") & set(shown), arguments


def test_any_prompt_has_a_page_on_demand(folder: Path) -> None:
    """--html writes it where it is told, --open beside the run and into the browser."""
    done = run("show", "mine", "p/1", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "the answer is " in page
    assert "<del>41</del><ins>42</ins>" in page
    opened = folder / "opened"
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    done = run("show", "mine", "p/1", "--open", BROWSER=f"{browser} %s")
    assert done.returncode == 0, done.stderr
    assert opened.read_text() == (folder / "results/mine/prompt-p-1.html").as_uri()
    run("report", "mine", "--open", BROWSER=f"{browser} %s")
    assert opened.read_text() == (folder / "results/mine/report.html").as_uri()


def test_a_machine_without_a_browser_is_told_where_the_page_is(folder: Path) -> None:
    """--open that cannot open says so."""
    done = run("report", "mine", "--open", BROWSER="false %s", PATH="/nowhere")
    assert done.returncode == 0
    assert "no browser found; open file:///" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "mine", "--html", "none/x.html"),
        ("show", "mine", "p2", "--html", "none/x.html"),
        ("export", "mine", "--format", "csv", "--out", "none/x.csv"),
    ],
)
def test_a_missing_folder_is_named_with_what_to_type(
    folder: Path, arguments: tuple[str, ...]
) -> None:
    """Exit code 2, the path as typed, the command that helps."""
    done = run(*arguments)
    assert done.returncode == 2
    assert "there is no folder none" in done.stderr
    assert "mkdir -p none" in done.stderr


def test_files_the_user_names_get_the_usual_mode(folder: Path) -> None:
    """Whoever names a file may share it; what stays in the run folder is the owner's alone."""
    old = os.umask(0o022)
    try:
        for arguments in (
            ("report", "mine", "--html", "page.html"),
            ("show", "mine", "p2", "--html", "prompt.html"),
            ("export", "mine", "--format", "csv", "--out", "rows.csv"),
        ):
            done = run(*arguments)
            assert done.returncode == 0, done.stderr
            assert stat.S_IMODE((folder / arguments[-1]).stat().st_mode) == 0o644
    finally:
        os.umask(old)
    for file in (folder / "results" / "mine").glob("*.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
