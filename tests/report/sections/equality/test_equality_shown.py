"""The model equality test in every output: console, page, report, Markdown, JSON, Python, plan."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import evalharness
from evalharness.report.build_report import build_report
from evalharness.report.html_report import render_report
from evalharness.report.markdown import as_markdown
from evalharness.store.folder.run import Run
from tests.cli.typed_command import run
from tests.imported_run import write_run

WORDS = ("alpha", "beta", "gamma")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


def providers(name: str, weights: dict[str, tuple[int, int, int]]) -> None:
    """Providers that draw words with these weights, never twice the same text."""
    draw = random.Random(0)
    write_run(
        [
            {"prompt_id": f"p{p}", "repeat": k, "provider": provider, "model": "m", "temperature": 1,
             "text": " ".join([f"{p}", *draw.choices(WORDS, chances, k=12)])}
            for p in range(12) for provider, chances in weights.items() for k in range(6)
        ],
        name,
    )  # fmt: skip


def words(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").split())


def test_providers_that_never_repeat_themselves_are_told_apart() -> None:
    """Whole texts never agree, within or across; the distributions tell."""
    providers("three", {"A": (6, 3, 1), "B": (6, 3, 1), "C": (2, 4, 4)})
    data = run("compare", "three", "--by", "provider", "--equality", "--json")
    rows = json.loads(data.stdout)["model_equality"]
    assert [row["verdict"] for row in rows] == ["not detected", "differs"]
    shown = words(run("compare", "three", "--by", "provider", "--equality").stdout)
    assert "Is it the same model?" in shown
    assert "C and provider=A: their outputs come from different distributions" in shown
    assert "would be found in 80 % of such runs" in shown
    assert "never shows that the models are equal" in shown
    report = build_report(Run.open("three"))
    assert "no difference detected" in words(as_markdown(report.data))
    assert "Model equality of providers" in render_report(report.data)
    table = evalharness.load("three").equality(by="provider", unit="word")
    assert list(table["verdict"]) == ["not detected", "differs"]
    assert "model_equality" not in json.loads(
        run("compare", "three", "--by", "provider", "--json").stdout
    )


def test_two_runs_on_the_page_and_a_plan_from_one_of_them() -> None:
    for name, weights in (("monday", (6, 3, 1)), ("friday", (2, 4, 4))):
        providers(name, {"A": weights})
    ended = run("compare", "monday", "friday", "--equality", "--html", "x.html")
    assert ended.returncode == 0, ended.stderr
    assert "come from different distributions" in Path("x.html").read_text("utf-8")
    sets = evalharness.load(["monday", "friday"])
    assert sets.equality().loc[0, "verdict"] == "differs"
    plan = ("plan", "--equality", "60%", "provider=emulator", "scoring=none")
    for source in ([], ["--from", "monday"]):
        facts = json.loads(run(*plan, *source, "--json").stdout)["equality"]
        assert facts["assumed"] == (not source)
        assert len(facts["options"]) == 5 * len(facts["figures"])
    refused = run("plan", "--equality", "120%", "provider=emulator")
    assert refused.returncode == 2
    assert "is not a share" in refused.stderr
