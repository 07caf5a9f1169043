"""`compare A B` of runs that share too little: what is not compared is said, the rest is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import evalharness
from evalharness.cli import main
from evalharness.cli.commands.import_ import import_file
from evalharness.errors import ConfigError

Said = pytest.CaptureFixture[str]
NOTHING = "Nothing was compared"
NO_CHANGE = "No prompt scored higher or lower"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def write(
    name: str, temperatures: tuple[float, ...], text: str = "x", prefix: str = "p", **fields: Any
) -> None:
    """Eight prompts, each twice a setting; they pass where the text is "x"."""
    rows = [
        {"prompt_id": f"{prefix}{p}", "repeat": r, "text": text, "score": float(text == "x"),
         "latency_s": 1.0, "temperature": t, **fields}
        for t in temperatures for p in range(8) for r in range(2)
    ]  # fmt: skip
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file("rows.jsonl", name, [])


def compared(said: Said, *arguments: str, page: bool = False) -> list[str]:
    said.readouterr()
    assert main(["compare", *arguments, *(["--html", "page.html"] if page else [])]) == 0
    return said.readouterr().out.splitlines()


def as_json(said: Said, *arguments: str) -> dict[str, Any]:
    return json.loads("\n".join(compared(said, *arguments, "--json")))


def test_a_run_without_a_common_setting_is_said_first(capsys: Said) -> None:
    """Nothing is said about its prompts, and the other runs are compared all the same."""
    write("a", (0.0, 0.7))
    write("b", (0.0, 0.7), "y")
    write("warm", (1.0,))
    said = compared(capsys, "a", "b", "warm", "--prompts")
    assert said[0].startswith("warm shares no setting with a (the settings differ in temperature)")
    assert "--by temperature compares them" in said[0]
    text = "\n".join(said)
    assert "b against a: 8 prompts scored lower in every repeat" in text
    assert NO_CHANGE not in text
    assert "warm against a: no prompt was compared, since the two runs share no setting." in text
    facts = as_json(capsys, "a", "b", "warm")["runs"]
    assert facts["unpaired"] == [
        {"run": "warm", "differs_in": ["temperature"], "comparable_by": ["temperature"]}
    ]
    assert {f["run"] for f in facts["own_figures"]} == {"a", "warm"}
    assert "Each run's own figures, under different settings" in text


def test_two_runs_without_a_common_setting_are_no_error(capsys: Said, folder: Path) -> None:
    """Their own figures are shown, and the axis that is named does compare them."""
    write("a", (0.0, 0.7))
    write("warm", (1.0,))
    said = compared(capsys, "a", "warm", "--prompts", page=True)
    assert said[0].startswith("warm shares no setting with a")
    assert any(line.startswith(NOTHING) for line in said)
    assert NO_CHANGE not in "\n".join(said)
    assert any(line.startswith("warm, ") and "100.0" in line for line in said)
    page = (folder / "page.html").read_text("utf-8")
    assert NOTHING in page
    assert "warm shares no setting with a" in page
    by_axis = compared(capsys, "a", "warm", "--by", "temperature", "--prompts")
    assert not any("shares no setting with a" in line for line in by_axis)
    assert not any("own figures" in line for line in by_axis)
    assert as_json(capsys, "a", "warm", "--by", "temperature")["comparisons"]


def test_no_axis_is_named_that_would_not_compare_the_runs(capsys: Said) -> None:
    """Where settings differ in two axes at once, neither compares them."""
    write("a", (0.0, 0.7), model="m", top_p=0.5)
    write("warm", (1.0,), model="m", top_p=0.9)
    said = compared(capsys, "a", "warm")
    assert "(the settings differ in temperature, top_p)" in said[0]
    assert "--by" not in said[0]


def test_python_names_the_baseline_and_what_differs() -> None:
    write("a", (0.0, 0.7))
    write("warm", (1.0,))
    with pytest.raises(ConfigError, match="no other run shares a setting with `a`") as error:
        evalharness.load(["a", "warm"]).compare()
    assert error.value.hint == "compare by what their settings differ in: temperature"


def test_runs_without_a_common_prompt_compare_nothing(capsys: Said, folder: Path) -> None:
    """No empty table, no sentence on differences, and figures under the names of the reports."""
    write("a", (0.0, 0.7))
    write("other", (0.0, 0.7), prefix="q")
    said = compared(capsys, "a", "other", "--prompts", page=True)
    page = (folder / "page.html").read_text("utf-8")
    for shown in ("\n".join(said), page):
        assert NOTHING in shown
        assert "No difference was detected" not in shown
        assert "Do both give the same output?" not in shown
        assert "Each run" in shown
        assert "own figures, over different prompts" in shown
        assert "latency_s" not in shown
    assert any(line.startswith("a, ") and "latency" in line for line in said)
    assert "other against a: no prompt was compared, since the two runs share no prompt." in (
        line.strip() for line in said
    )


def test_own_figures_are_of_runs_that_are_not_compared(capsys: Said) -> None:
    """A run that shares the prompts is not shown as one of different prompts, nor as a dash."""
    write("a", (0.0, 0.7))
    write("b", (0.0, 0.7), "y")
    write("other", (0.0, 0.7), prefix="q")
    figures = as_json(capsys, "a", "b", "other")["runs"]["own_figures"]
    assert {f["run"] for f in figures} == {"a", "other"}
    said = compared(capsys, "a", "b", "other")
    assert any(line.startswith("b: T=0 / a: T=0 ") for line in said)
    assert not any(line.startswith("other: ") for line in said)
    write("warm", (1.0,))
    both = compared(capsys, "a", "warm", "other")
    assert "Each run's own figures" in [line.strip() for line in both]


def test_sentences_across_name_the_run_where_there_are_several(capsys: Said) -> None:
    """Two runs with the same two settings: each pair is told apart by its run."""
    write("a", (0.0, 0.7))
    write("b", (0.0, 0.7), "y")
    said = "\n".join(compared(capsys, "a", "b", "--by", "temperature"))
    for run in "ab":
        assert f"{run}: T=0.7 and {run}: T=0: " in said
        assert f"{run}: T=0.7 / {run}: T=0 " in said
    alone = "\n".join(compared(capsys, "a", "--by", "temperature"))
    assert "T=0.7 and T=0: " in alone
    assert "a: T=" not in alone


def test_outputs_before_and_after_stand_under_their_setting(capsys: Said) -> None:
    write("a", (0.0, 0.7))
    write("b", (0.0, 0.7), "y")
    said = compared(capsys, "a", "b", "--prompts")
    headings = [line for line in said if line.endswith(": regressed")]
    assert headings[0] == "p0, T=0: regressed"
    assert len(headings) == len(set(headings)) == 6


def test_the_baseline_may_be_a_pattern(capsys: Said) -> None:
    """It means one of the runs that are compared, whatever else it matches."""
    for name in ("may-1", "may-2", "june-1"):
        write(name, (0.0,))
    runs = ("may-1", "june-1", "--json", "--baseline")
    assert as_json(capsys, *runs, "june-*")["runs"]["baseline"] == "june-1"
    assert as_json(capsys, *runs, "may-*")["runs"]["baseline"] == "may-1"
    for pattern, complaint in (("*-1", "matches 2 runs, and one is needed"), ("*-2", "is none of")):
        assert main(["compare", *runs, pattern]) == 2
        assert complaint in capsys.readouterr().err


def test_the_page_follows_the_order_of_the_console(capsys: Said, folder: Path) -> None:
    """Matching before differences, then outputs across, then the configurations."""
    write("a", (0.0, 0.7))
    write("b", (0.0,), "y")
    compared(capsys, "a", "b", page=True)
    page = (folder / "page.html").read_text("utf-8")
    headings = (
        "Which prompts are the same?",
        "Which differences were detected?",
        "Do both give the same output?",
        "What differs between the runs?",
        "Which prompts changed?",
    )
    places = [page.index(f"<h2>{heading}</h2>") for heading in headings]
    assert places == sorted(places)
    assert places[0] < page.index("Prompts of b matched with a") < places[1]
    assert places[2] < page.index("the same text in 0") < places[3]
    assert "across: the chance that an output of one setting" in page
