"""Yesterday against today: code that changed for three of sixty prompts, through every command."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]

PLANTED = ["sum-07", "sum-21", "sum-40"]
_YESTERDAY = """
def answer(prompt):
    return str(sum(int(word) for word in prompt.split() if word.isdigit()))
"""
# What fell: the carry of two sums, and a zero.
_TODAY = """
WRONG = {"7 + 9": "6", "21 + 27": "38", "40 + 0": "4"}

def answer(prompt):
    return WRONG.get(prompt) or str(sum(int(word) for word in prompt.split() if word.isdigit()))
"""


@pytest.fixture
def runs(evalharness: Command, tmp_path: Path) -> Command:
    """Both runs, five repeats each; the second is made by other code of the same function."""
    rows = [{"id": f"sum-{n:02}", "prompt": f"{n} + {7 * n % 40}", "target": str(n + 7 * n % 40),
             "tags": ["even" if n % 2 == 0 else "odd"]} for n in range(60)]  # fmt: skip
    (tmp_path / "sums.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "bot.py").write_text(_YESTERDAY)
    made = evalharness(
        "run", "provider=python", "provider.call=bot:answer", "dataset.path=sums.jsonl",
        "scoring=exact", "repeats=5", "name=yesterday",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (tmp_path / "bot.py").write_text(_TODAY)
    again = evalharness("run", "--from", "yesterday", "name=today")
    assert again.returncode == 0, again.stderr
    assert "code: bot:answer is other code" in again.stderr
    return evalharness


def _named(text: str) -> list[str]:
    return sorted(set(re.findall(r"sum-\d\d", text)))


def test_three_of_sixty_prompts_are_named_everywhere(runs: Command, tmp_path: Path) -> None:
    """Console, page, JSON, JUnit and Markdown name the planted prompts, and no other."""
    console = runs(
        "compare", "yesterday", "today", "--prompts", "--html", "changes.html", COLUMNS="80"
    )
    assert console.returncode == 0, console.stderr
    assert "3 prompts scored lower in every repeat: sum-07, sum-21, sum-40" in console.stdout
    assert _named(console.stdout) == PLANTED
    assert max(map(len, console.stdout.splitlines())) <= 80
    assert "code of bot:answer" in console.stdout

    page = (tmp_path / "changes.html").read_text("utf-8")
    assert _named(page) == PLANTED
    assert "<del>48</del><ins>38</ins>" in page
    assert "further apart than the repeats of each" in page

    found = json.loads(runs("compare", "yesterday", "today", "--prompts", "--json").stdout)
    changes = found["prompt_changes"]
    assert [change["prompt_id"] for change in changes] == PLANTED
    assert all(change["kinds"] == ["regressed"] for change in changes)
    assert [key for key in found if "across" in key] == ["agreement_across"]

    checked = runs(
        "check", "today", "--baseline", "yesterday", "--max-regression", "score=2pp",
        "--max-new-failures", "0", "--max-new-errors", "0", "--min-prompt-pass", "0.8",
        "--junit", "gates.xml", "--markdown", "summary.md",
    )  # fmt: skip
    assert checked.returncode == 1, checked.stderr
    verdicts = [line[:4] for line in checked.stdout.splitlines()]
    assert verdicts == ["FAIL", "ok  ", "FAIL", "ok  "]
    junit = ET.parse(tmp_path / "gates.xml").getroot()
    failures = [failure.text or "" for failure in junit.iter("failure")]
    assert [_named(text) for text in failures] == [PLANTED, PLANTED]
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("### today: 2 of 4 checks fail")
    assert _named(summary) == PLANTED


def test_a_gate_that_holds_names_them_too(runs: Command, tmp_path: Path) -> None:
    """Three of sixty are not shown to be more than 2 points; the files name them all the same."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "gates.yaml").write_text(
        "baseline: yesterday\nmax_regression: {score: 2pp}\n"
        "also:\n  - {tag: even, min_prompt_pass: 1}\n"
    )
    files = ("--junit", "gates.xml", "--markdown", "summary.md")
    checked = runs("check", "today", "--gates", "gates.yaml", *files)
    assert checked.returncode == 1, checked.stderr
    change, even = checked.stdout.splitlines()
    assert change.startswith("ok   ")
    assert _named(change) == PLANTED
    assert even.startswith("FAIL ")
    assert _named(even) == ["sum-40"]
    etree: Any = import_module("lxml.etree")
    schema = etree.XMLSchema(file=str(Path(__file__).parents[1] / "cli" / "junit.xsd"))
    schema.assertValid(etree.parse(str(tmp_path / "gates.xml")))
    out = ET.parse(tmp_path / "gates.xml").getroot().find("testsuite/system-out")
    assert out is not None
    assert _named(out.text or "") == PLANTED
    assert _named((tmp_path / "summary.md").read_text()) == PLANTED
