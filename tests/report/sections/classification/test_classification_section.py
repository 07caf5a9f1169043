"""The classification on console, page, in Markdown and JSON; nothing where targets are no labels."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evalharness.report.build.scoring import ReportOverrides
from evalharness.report.build_report import Report, build_report
from evalharness.report.console_report import print_report
from evalharness.report.html_report import render_report
from evalharness.report.markdown import as_markdown
from evalharness.report.sections.classification.section import CLASSIFICATION
from tests.report import runs
from tests.report.json_reports import json_of

EXACT = ReportOverrides(scoring=[{"name": "exact"}])
HOSTILE = "<script>x</script>|*"


def labelled(root: Path, classes: list[str], settings: int = 1, prompts: int = 12) -> Report:
    """A run whose outputs are the class, the next one, something else, or nothing, in turn."""
    ids = [f"p{i}" for i in range(prompts)]
    targets = [classes[i % len(classes)] for i in range(prompts)]
    turn = [i // len(classes) % 4 for i in range(prompts)]
    texts = [
        [target, classes[(i + 1) % len(classes)], "something else", ""][turn[i]]
        for i, target in enumerate(targets)
    ]
    columns: dict[str, Any] = {
        "prompt_id": ids * settings,
        "setting_id": [f"s{s}" for s in range(settings) for _ in ids],
        "repeat": [0] * (prompts * settings),
        "text": texts * settings,
        "status": ["ok" if text else "empty" for text in texts] * settings,
    }
    names = [f"s{s}" for s in range(settings)]
    report = runs.write(
        root, "labels", columns,
        {"prompt_id": ids, "target_json": [json.dumps(target) for target in targets]},
        {"setting_id": names, "label": [f"setting {name}" for name in names], "provider": "p",
         "model": "m", "params_json": "{}", "axes_json": "{}"},
    )  # fmt: skip
    return build_report(report.run, EXACT)


def console_of(report: Report) -> str:
    out = io.StringIO()
    print_report(report.data, Console(file=out, width=100))
    return out.getvalue()


def test_every_output_shows_the_tables(tmp_path: Path) -> None:
    report = labelled(tmp_path, ["ham", "spam"], prompts=16)
    data = json_of(report.data)["classification"]
    assert data["classes"] == ["ham", "spam"]
    (setting,) = data["settings"]
    assert [row["named"] for row in setting["confusion"]] == [[2, 2], [2, 2]]
    assert (setting["outside"], setting["unparsed"]) == (4, 4)
    assert setting["outside_labels"] == [{"label": "something else", "n": 4}]
    assert setting["classes"][0]["precision"] == 0.5
    assert setting["classes"][0]["recall"] == 0.25
    console, markdown = console_of(report), as_markdown(report.data)
    assert "Classification: 2 classes, 16 prompts; what `exact` reads against the target" in console
    lines = [" ".join(line.split()) for line in console.splitlines()]
    assert "target ↓ named → ham spam outside unparsed" in lines
    assert "spam 2 2 2 2" in lines
    assert "outside: “something else” 4×" in lines
    assert "| spam | 2 | 2 | 2 | 2 |" in markdown
    assert "| ham | 50 %" in markdown.replace("\u00a0", " ")
    page = render_report(report.data)
    assert '<a href="#classification">Classification</a>' in page
    assert "<td><b>2</b></td>" in page
    assert max(map(len, console.splitlines())) <= 100


def test_targets_that_are_no_labels_show_nothing(tmp_path: Path) -> None:
    report = labelled(tmp_path, [f"class {i}" for i in range(12)])
    assert report.data[CLASSIFICATION] is None
    assert "lassification" not in console_of(report) + as_markdown(report.data)
    assert 'id="classification"' not in render_report(report.data)


def test_another_scorer_takes_the_view_away_and_answers_bring_it_back(tmp_path: Path) -> None:
    run = labelled(tmp_path, ["ham", "spam"]).run
    plain = build_report(run, ReportOverrides(scoring=[{"name": "f1"}]))
    assert plain.data[CLASSIFICATION] is None
    answers = ReportOverrides(scoring=[{"name": "f1"}], answer={"choice": ["spam", "ham"]})
    data = build_report(run, answers).data[CLASSIFICATION]
    assert data is not None
    assert data.scorer is None
    assert data.settings[0].unparsed == 4  # what is no choice holds no answer


@pytest.mark.parametrize("classes", [2, 15, 40])
def test_many_classes_and_settings_stay_readable(tmp_path: Path, classes: int) -> None:
    names = [HOSTILE, *(f"a class with a long name, number {i}" for i in range(classes - 1))]
    report = labelled(tmp_path, names, settings=6, prompts=8 * classes)
    data = report.data[CLASSIFICATION]
    assert data is not None
    assert len(data.classes) == classes
    console, page = console_of(report), render_report(report.data)
    assert "2 more settings in the HTML report" in console
    assert "<script>x" not in page
    assert "<script>x" not in as_markdown(report.data)
    assert max(map(len, console.splitlines())) <= 100
    has_matrix = "target ↓ named →" in console
    assert has_matrix == (classes <= 12)
    assert (" named a class with" in console) == (classes > 12)
    assert ("20 more classes, with a higher F1" in console) == (classes == 40)
