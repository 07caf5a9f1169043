"""Scores, missing scores and judges where people read them: console, Markdown, JSON, page, show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli import main
from tests.imported_run import Rows, write_run

pytestmark = pytest.mark.usefixtures("work")

ROWS: Rows = [
    {"prompt_id": p, "temperature": t, "text": text, "target": target, "status": status}
    for p, t, text, target, status in [
        ("a", 0, "It is 4.", "4", "ok"), ("a", 0, "5", "4", "ok"),
        ("a", 1, "four", "4", "ok"), ("a", 1, "4", "4", "refused"),
        ("b", 0, "x", None, "ok"), ("b", 1, None, None, "error"),
    ]
]  # fmt: skip

MODULE = """
def half(sample):
    if sample.text == "5":
        raise ValueError("boom \\x1b[31m<b>")
    return 0.5
"""
SCORING = "scoring=[exact, {name: numeric, label: num}, {name: python, path: mine_{0}.half}]"

Said = pytest.CaptureFixture[str]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def scoring(work: Path) -> str:
    """A run `r`, and a scorer of the user's own that crashes on one output."""
    # Modules are imported once a process: each test has its own.
    name = f"mine_{abs(hash(work.name))}"
    (work / f"{name}.py").write_text(MODULE)
    write_run(ROWS)
    return SCORING.replace("mine_{0}", name)


def _report(said: Said, *arguments: str) -> str:
    said.readouterr()
    assert main(["report", "r", *arguments]) == 0
    return said.readouterr().out


def test_the_json_counts_what_has_no_score_and_why(scoring: str, capsys: Said) -> None:
    """Errors, missing targets and a crashed scorer are null with a reason; a refusal is 0."""
    data: dict[str, Any] = json.loads(_report(capsys, scoring, "answer=last_number", "--json"))
    exact, num, mine = data["scorers"]
    error = {"reason": "error record: nothing was answered", "n": 1}
    assert exact == {
        "name": "exact", "records": 6, "scored": 4,
        "unscored": [{"reason": "no target", "n": 1}, error],
    }  # fmt: skip
    assert (num["name"], num["scored"]) == ("num", 4)
    assert mine["scored"] == 4
    assert {"reason": "the scorer failed: ValueError: boom \x1b[31m<b>", "n": 1} in mine["unscored"]
    assert data["answers"] == {"parsed": 3, "unparsed": 2, "failed": 0, "none": 1}
    cold, hot = data["settings"]
    assert cold["score"]["mean"] == 0
    assert cold["scores"]["num"]["mean"] == 0.5
    assert hot["scores"]["num"]["mean"] == 0


def test_console_markdown_and_page_say_it_too(scoring: str, capsys: Said, work: Path) -> None:
    """Every scorer has a column, the crash is a caveat, and its text is harmless."""
    console = _report(capsys, scoring)
    assert "mean score by scorer" in console
    row = next(line for line in console.splitlines() if line.startswith("T=0") and "50%" in line)
    assert row.split("[")[0].split() == ["T=0", "0%"]
    assert "Scorer half gave no score to 1 of 6 records: the scorer failed: ValueError: boom" in (
        console
    )
    assert "exact: 4 of 6 records scored; not scored: no target (1)" in console
    assert "\x1b" not in console
    markdown = _report(capsys, scoring, "--markdown")
    assert "| score | half | num |" in markdown
    assert "the scorer failed: ValueError: boom &lt;b>" in markdown
    _report(capsys, scoring, "--html", "page.html")
    page = (work / "page.html").read_text()
    assert "the scorer failed: ValueError: boom" in page
    assert "boom &lt;b&gt;" in page or "boom &lt;b>" in page
    assert "boom <b>" not in page


def test_no_target_anywhere_is_a_caveat(capsys: Said) -> None:
    """A scorer without anything to compare with says so in place of a bare dash."""
    write_run([{"prompt_id": "p", "text": "a"}] * 2)
    assert "Scorer exact gave no score to 2 of 2 records: no target (2)." in _report(
        capsys, "scoring=exact"
    )


def test_judges_are_in_every_report(capsys: Said, work: Path) -> None:
    """Console, Markdown and page repeat what `judge` said; before a judging the way to it stands."""
    write_run(ROWS)
    assert "`evalharness judge RUN --name grade` makes" in _report(capsys, "scoring=judge")
    assert main(["judge", "r", "provider=emulator", "reply=json", "repeats=2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("judge `grade` (qwen-plus at emulator): 4 of 4 outputs judged")
    console = _report(capsys, "scoring=judge")
    flat = " ".join(console.split())  # long lines are wrapped
    assert all(" ".join(line.split()) in flat for line in said)
    assert "\nJudges\n" in console
    markdown = _report(capsys, "--markdown")
    assert "**Judges**" in markdown
    assert "4 of 4 outputs judged" in markdown
    _report(capsys, "--html", "page.html")
    assert "4 of 4 outputs judged" in (work / "page.html").read_text()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("scoring=[", "`scoring=[`: malformed YAML"),
        ("scoring=nosuch", "no scorer is called 'nosuch'"),
        ("scoring=[exact, {name: exact, label: exact}]", "'exact' is already taken"),
        ("scoring=[{name: python, path: absent.f}]", "cannot import 'absent'"),
        ("scoring=[{name: python, path: json.f}]", "'json' has no function 'f'"),
        ('answer={regex: "(\\d+)"}', "single quotes"),
        ("volume=3", "there is no `volume=…` here"),
    ],
)
def test_overrides_that_cannot_be_read(capsys: Said, argument: str, message: str) -> None:
    """The key at fault is named, exit 2."""
    write_run(ROWS)
    assert main(["report", "r", argument]) == 2
    assert message in capsys.readouterr().err


def test_presets_names_and_scorers_mix_in_a_list(capsys: Said, work: Path) -> None:
    """Names in a list are presets or scorers; `answer=none` takes the run's extraction away."""
    write_run([{**row, "answer": "4"} for row in ROWS])
    (work / "configs/scoring").mkdir(parents=True)
    (work / "configs/scoring/house.yaml").write_text("scoring: [{name: f1}, {name: exact}]\n")
    data = json.loads(_report(capsys, "--json", "scoring=[house, {name: numeric}]"))
    assert [one["name"] for one in data["scorers"]] == ["f1", "exact", "numeric"]
    last = json.loads(_report(capsys, "answer=last_number", "--json"))
    assert last["answers"]["unparsed"] == 2
    assert json.loads(_report(capsys, "answer=none", "--json"))["answers"]["parsed"] == 5


def test_show_says_value_part_and_reason(scoring: str, capsys: Said) -> None:
    """Below each output: the answer, then every scorer's value, the part it read and why."""
    capsys.readouterr()
    assert main(["show", "r", "a", scoring, "answer=last_number"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    at = lines.index("It is 4.") if "It is 4." in lines else lines.index("▮It is 4.")
    assert lines[at + 1 : at + 5] == [
        "→ answer: 4",
        "→ exact 0: differs from the target",
        "→ num 1 [4]: within tolerance",
        "→ half 0.5: by the function",
    ]
    assert "→ half not scored: the scorer failed: ValueError: boom <b>" in lines
    assert "→ no answer found" in lines
    assert main(["show", "r", "b", scoring]) == 0
    shown = capsys.readouterr().out
    assert "→ exact not scored: no target" in shown
    assert "error record" not in shown


def test_settings_are_compared_by_another_scorer(scoring: str, capsys: Said) -> None:
    """`compare RUN scoring=…`, on either side of the options, judges anew and sends nothing."""
    found: dict[str, list[tuple[str, float]]] = {}
    for name, given in {
        "own": ["r", "--by", "temperature", "--json"],
        "exact": ["r", "--by", "temperature", "--json", "scoring=exact"],
        "half": ["r", scoring.replace("exact, {name: numeric, label: num}, ", ""), "--json", "--by",
                 "temperature"],
    }.items():  # fmt: skip
        capsys.readouterr()
        assert main(["compare", *given]) == 0
        rows = json.loads(capsys.readouterr().out)["comparisons"]
        found[name] = [(r["metric"], r["a_mean"]) for r in rows if r["metric"].startswith("score")]
    assert found["own"] == []
    assert found["exact"] == [("score", 0.0)]
    assert found["half"] == [("score", 0.25)]
    assert main(["compare", "scoring=exact"]) == 2
    assert "compare needs a run" in capsys.readouterr().err


def test_what_was_adjusted_for_is_said_beside_the_lines(capsys: Said) -> None:
    """Only where a family has several members, and never on stdout."""
    rows: Rows = [
        {"prompt_id": p, "temperature": t, "text": "a", "score": 1.0}
        for p in "ab" for t in (0, 1, 2)
    ]  # fmt: skip
    write_run(rows)
    write_run([row for row in rows if row["temperature"] < 2], "two")
    for run, said in (("r", True), ("two", False)):
        capsys.readouterr()
        assert main(["compare", run, "--by", "temperature"]) == 0
        shown = capsys.readouterr()
        assert ("comparisons of one metric" in shown.out) is said
        assert "adjusted: over" not in shown.out
