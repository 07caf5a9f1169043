"""Reasoning in texts, and scorers that are likely a mistake, where people read of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalharness.cli import main
from tests.imported_run import Rows, write_run

ROWS: Rows = [
    {"prompt_id": str(n), "text": text, "target": "Bern"}
    for n, text in enumerate(["<think>Bern?</think>Oslo"] * 3 + ["<think>Bern"] + ["Bern"] * 2)
]
SAID = "4 of 6 texts begin with reasoning"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(ROWS)


def _report(said: pytest.CaptureFixture[str], *arguments: str) -> str:
    said.readouterr()
    assert main(["report", "r", *arguments]) == 0
    return " ".join(said.readouterr().out.split())


def test_reasoning_is_counted_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """On the console, in Markdown, on the page and in JSON; raw agreement sees whole texts."""
    page = Path("page.html")
    assert SAID in _report(capsys, "scoring=includes")
    assert SAID in _report(capsys, "scoring=includes", "--markdown")
    _report(capsys, "scoring=includes", "--html", str(page))
    assert SAID in page.read_text("utf-8")
    data = json.loads(_report(capsys, "scoring=includes", "--json"))
    assert data["reasoning"] == {
        "mode": "strip", "texts": 6, "with_reasoning": 4, "unclosed": 1,
    }  # fmt: skip
    assert data["settings"][0]["score"]["mean"] == pytest.approx(2 / 6)


def test_kept_reasoning_is_scored_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("scoring=includes", "answer={reasoning: keep}")
    assert "is scored as a part of them" in _report(capsys, *arguments)
    data = json.loads(_report(capsys, *arguments, "--json"))
    assert data["settings"][0]["score"]["mean"] == 1
    assert data["answers"] is None


def test_a_suspect_pattern_is_a_caveat(capsys: pytest.CaptureFixture[str]) -> None:
    scoring = "scoring=[{name: regex, pattern: '(B.*)'}]"
    assert "captures a group" in _report(capsys, scoring)
    data = json.loads(_report(capsys, scoring, "--json"))
    assert [entry["name"] for entry in data["scorer_warnings"]] == ["regex"]


def test_every_scorer_is_among_the_scores(capsys: pytest.CaptureFixture[str]) -> None:
    scores = json.loads(_report(capsys, "scoring=[exact, {name: includes}]", "--json"))["settings"]
    assert {name: s["mean"] for name, s in scores[0]["scores"].items()} == {
        "exact": pytest.approx(2 / 6), "includes": pytest.approx(2 / 6),
    }  # fmt: skip
