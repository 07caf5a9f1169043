"""The report on a terminal, one prompt on it and as a page, records exported."""

from __future__ import annotations

import copy
import csv
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evalharness.cli.commands.import_ import import_file
from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build.report_data import Built, build
from evalharness.report.console.report import print_report, settings_tables
from evalharness.report.words.format_numbers import DASH
from evalharness.store.folder.run import Run
from tests.judging.conftest import write_run

Row = dict[str, Any]

#: What a spreadsheet would run, and what it would not.
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1")
PLAIN = ("1=1", "a-b", "'quoted'", "")
ESCAPES = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202egnp.exe \x08"


def printed(data: Row, width: int) -> str:
    """What the console shows at a width."""
    out = io.StringIO()
    print_report(data, Console(file=out, width=width, highlight=False))
    return out.getvalue()


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


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, as typed."""
    return subprocess.run(
        [sys.executable, "-m", "evalharness", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_cut_in_the_width_there_is(sweep: Built, width: int) -> None:
    """With every mishap there is, all headings and all names are whole, and no line is too long."""
    data = copy.deepcopy(sweep.data)
    for row in data["settings"]:
        for status in ("truncated", "empty", "refused", "error"):
            row["status"][status] = 5
        row["trials"] += row["axes"]["temperature"] > 0
    shown = printed(data, width)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    for heading in ("trials", "cut/empty", "/refused/error %", "p50/p95", "cost $"):
        assert heading in shown
    tables = settings_tables(data["settings"], width)
    assert len(tables) > 1
    for row in data["settings"]:
        assert shown.count(row["label"] + " ") >= len(tables)


def test_a_table_that_fits_is_one(sweep: Built) -> None:
    """Nothing is split that has its room; equal numbers of trials stand in the heading alone."""
    assert len(settings_tables(sweep.data["settings"], 200)) == 1
    assert "trials" not in printed(sweep.data, 200)
    assert "40 prompts × 8 settings × 3 repeats · 960 records" in printed(sweep.data, 200)


def test_the_console_tells_what_stands_in_the_way(sweep: Built) -> None:
    """An answer that names nobody says why; one without a figure shows no dash for it."""
    data = copy.deepcopy(sweep.data)
    found = data["leaders"]["score"]
    found["group"] = [found["setting_id"], *(row["setting_id"] for row in found["others"])]
    for row in data["settings"]:
        row["cost_usd"].update(total=None, per_1k_requests=None)
    data["leaders"]["cost_usd"] = None
    shown = printed(data, 400)
    assert "no other setting is detectably worse at this size." in shown
    assert "Cheapest: Not known. No price is known for these models." in shown
    assert f"Not known, {DASH}" not in shown


@pytest.mark.parametrize(
    ("target", "overrides", "told"),
    [
        (
            "Rome",
            (),
            "No scorer is chosen; 1 prompt has a target: evalharness report r scoring=exact",
        ),
        (None, (), "No scorer is chosen, and no prompt has a `target` to score against"),
        (None, ("scoring=exact",), "Scorer exact gave no score: no target (2)."),
    ],
)
def test_the_console_tells_why_nothing_is_scored(
    target: str | None, overrides: tuple[str, ...], told: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Which of the three it is, and what to type where targets wait for a scorer."""
    monkeypatch.chdir(tmp_path)
    write_run([{"prompt_id": "p", "temperature": t, "text": "a", "target": target} for t in (0, 1)])
    shown = printed(build(Run.open("r"), parse_overrides(overrides)).data, 400)
    assert f"Best score: Not known. {told}" in shown


# --- one prompt ----------------------------------------------------------------------------------


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


# --- export --------------------------------------------------------------------------------------


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of a run called `texts`, in order."""
    monkeypatch.chdir(tmp_path)
    found = [*FORMULAS, *PLAIN, ESCAPES]
    rows = [{"prompt_id": f"p{i:02}", "text": text} for i, text in enumerate(found)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file("rows.jsonl", "texts", [])
    return found


def _csv(*more: str) -> list[str]:
    out = run("export", "texts", "--format", "csv", "--out", "out.csv", *more)
    assert out.returncode == 0, out.stderr
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file)]


def test_no_cell_of_a_csv_is_a_formula(texts: list[str]) -> None:
    """What a spreadsheet would run gets a quote before it; nothing else is touched."""
    expected = [f"'{text}" if text in FORMULAS else text for text in texts]
    assert _csv() == expected


def test_neutralising_can_be_turned_off(texts: list[str]) -> None:
    """--raw-cells gives every text as it was said."""
    assert _csv("--raw-cells") == texts


def test_jsonl_is_exact(texts: list[str]) -> None:
    """One record a line, every text as it was said."""
    out = run("export", "texts", "--format", "jsonl").stdout
    assert [json.loads(line)["text"] for line in out.splitlines()] == texts


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
