"""What `compare` prints: the conclusion first, tables that fit, one set of words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli import main
from evalharness.cli.commands.import_ import import_file

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run `mine`: eight prompts × temperatures 0, 0.5, 1 × two seeds × two repeats."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    rows: list[dict[str, Any]] = [
        {
            "prompt_id": f"p{p}", "temperature": t, "seed": seed, "target": "yes",
            "text": "yes" if t == 0 or (t == 0.5 and p < 3) else f"{p}{t}{k}", "completion_tokens": 7,
            "latency_s": 0.02 + 0.003 * t + 0.0001 * p * (1 + t) + 0.00001 * k,
        }
        for p in range(8) for t in (0, 0.5, 1) for seed in (1, 2) for k in range(2)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file("rows.jsonl", "mine", [])
    return tmp_path


def compared(said: Said, *arguments: str) -> list[str]:
    """The lines of `compare mine --by temperature …`."""
    said.readouterr()
    assert main(["compare", "mine", "--by", "temperature", *arguments]) == 0
    return said.readouterr().out.splitlines()


def test_the_conclusion_comes_first_and_no_line_is_too_wide(capsys: Said) -> None:
    """What differs in a sentence, then tables; 100 columns hold every line, strata too."""
    for more in ([], ["--strata"], ["--margin", "0.02"]):
        lines = compared(capsys, *more)
        assert lines[0] == "Which differences were detected?"
        assert any("less often" in line for line in lines[1:6])
        assert max(map(len, lines)) <= 100


def test_pooled_rows_stand_for_the_strata_until_these_are_asked_for(capsys: Said) -> None:
    """The command that shows the rest is named, and shows it."""
    lines = compared(capsys)
    assert sum(line.startswith("same text at 1 ") for line in lines) == 1
    assert not any(line.startswith("same text at 1, seed 2") for line in lines)
    told = " ".join(lines[-2:])
    assert "evalharness compare mine --by temperature" in told
    assert "--strata" in told
    assert any(line.startswith("same text at 1, seed 2") for line in compared(capsys, "--strata"))


def test_words_and_units_are_the_reports(capsys: Said) -> None:
    """Milliseconds where seconds are small, no internal names, no metric nothing moves in."""
    text = "\n".join(compared(capsys, "--strata"))
    assert re.search(r"latency at 1 +20\.4\sms +23\.7\sms +\+3\.35\sms", text)
    assert not re.search(r"latency_s|completion_tokens|cost_usd|e[-−]0", text)
    assert "output length: equal for each of 8 prompts" in text
    assert "output length at" not in text


def test_equivalence_is_said_where_it_is_asked_for(capsys: Said) -> None:
    """`--margin` tests shares, so shares have a figure."""
    text = "\n".join(compared(capsys, "scoring=exact", "--margin", "0.02"))
    assert "±2 pp" in text


@pytest.mark.parametrize("order", [0, 1])
def test_the_scoring_can_be_replaced(capsys: Said, order: int) -> None:
    """`scoring=…` may stand on either side of the options, as elsewhere."""
    words = ["mine", "scoring=exact"] if order else ["mine"]
    late = [] if order else ["scoring=exact"]
    capsys.readouterr()
    assert main(["compare", *words, "--by", "temperature", "--json", *late]) == 0
    rows = json.loads(capsys.readouterr().out)["comparisons"]
    score = [row for row in rows if row["metric"] == "score" and row["pooled"]]
    assert [row["difference"] for row in score] == [-0.625, -1]
