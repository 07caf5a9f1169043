"""Marks of people: as scores by ``scoring=human``, and their agreement with scorers and readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build_report import Report, build_report
from evalharness.report.console_report import print_report
from evalharness.report.html_report import write_html
from evalharness.report.markdown import as_markdown
from evalharness.report.sections.marks.section import MARKS
from evalharness.report.sections.scoring import SCORERS
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.store.folder.annotations import Edit, Mark, TrialKey, change_annotations
from evalharness.store.folder.run import Run
from tests.report.runs import write

#: Right and wrong answers of five prompts, two repeats each, and an error.
TEXTS = ["a", "b", "a", "a", "b", "b", "a", "b", "a", None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    records: dict[str, Any] = {
        "prompt_id": [f"p{i // 2}" for i in range(10)],
        "setting_id": ["s"] * 10,
        "repeat": [i % 2 for i in range(10)],
        "status": ["ok"] * 9 + ["error"],
        "text": TEXTS,
        "score": [None if text is None else float(text == "a") for text in TEXTS],
    }
    prompts = {"prompt_id": [f"p{i}" for i in range(5)], "target_json": ['"a"'] * 5}
    settings = {"setting_id": ["s"], "label": ["T=0"], "params_json": ["{}"], "axes_json": ["{}"]}
    return write(tmp_path, "r", records, prompts, settings).run


def mark(run: Run, marks: str, reader: str = "anna", note: str | None = None) -> None:
    """Mark records 0, 1, … as passed (p), failed (f), or not at all."""
    edits = [
        Edit(
            trial=TrialKey(f"t{i}", f"p{i // 2}", "s", i % 2),
            reader=reader,
            mark=Mark.PASS if letter == "p" else Mark.FAIL,
            note=note,
        )
        for i, letter in enumerate(marks)
        if letter in "pf"
    ]
    change_annotations(run.root, edits)


def report(run: Run, *overrides: str) -> Report:
    return build_report(Run.open(run.root), parse_overrides(overrides))


def test_marks_are_scores(run: Run) -> None:
    """1, 0 and null, one record at a time, also where two records have the same output."""
    mark(run, "pf.f.....p")
    built = report(run, "scoring=human")
    [counts, _imported] = built.data[SCORERS]
    assert (counts.name, counts.records, counts.scored) == ("human", 10, 3)
    assert {u.reason: u.n for u in counts.unscored} == {
        "not marked": 6,
        "error record: nothing was answered": 1,
    }
    # p0: one of two passed; p1: its one mark says fail, although `a` passed in p0.
    assert built.data[SETTINGS][0].score.mean == pytest.approx(0.25)


def test_several_readers(run: Run) -> None:
    """Most readers decide, a tie decides nothing; each reader is a scorer, too."""
    mark(run, "ppff")
    mark(run, "pf.f", "bob")
    mark(run, "f..p", "eve")
    built = report(run, "scoring=[human, {name: human, reader: bob}]")
    human, bob, _ = built.data[SCORERS]
    assert (human.name, human.scored, bob.name, bob.scored) == ("human", 3, "human.bob", 3)
    assert {u.reason for u in human.unscored} >= {"as many readers say pass as fail"}
    assert built.data[SETTINGS][0].score.mean == pytest.approx((1 + 0) / 2)
    turned = report(run, "scoring={name: human, not: true}").data[SETTINGS][0].score.mean
    assert turned == pytest.approx((0 + 1) / 2)


def test_nothing_is_marked(run: Run) -> None:
    """Then there is no section, and no score."""
    assert report(run).data[MARKS] is None
    [counts, _] = report(run, "scoring=human").data[SCORERS]
    assert counts.scored == 0


def test_agreement(run: Run) -> None:
    """With the scorers of the report and between readers, over the records that both rated."""
    mark(run, "pfpffppf.p")
    mark(run, "pf", "bob")
    summary = report(run, "scoring=exact").data[MARKS]
    assert summary is not None
    assert (summary.records, summary.passed, summary.failed, summary.errors) == (9, 4, 4, 1)
    assert [(r.reader, r.passed, r.failed) for r in summary.readers] == [
        ("anna", 5, 4), ("bob", 1, 1),
    ]  # fmt: skip
    assert summary.score == pytest.approx((0.5 + 0.5 + 0.5 + 0.5) / 4)
    by_name = {(a.kind, a.b): a for a in summary.agreement}
    exact = by_name["scorer", "exact"]
    table = (exact.both_pass, exact.only_a_passes, exact.only_b_passes, exact.both_fail)
    assert table == (3, 1, 1, 3)
    assert (exact.n, exact.prompts, exact.agreement, exact.kappa) == (8, 4, 0.75, 0.5)
    assert exact.kappa_ci95 is not None
    assert by_name["scorer", "imported"].n == 8
    assert (by_name["reader", "bob"].n, by_name["reader", "bob"].kappa) == (2, 1.0)
    again = report(run, "scoring=human").data[MARKS]
    assert again is not None
    assert [a.b for a in again.agreement] == ["imported", "bob"], (
        "marks are not compared with marks"
    )


def test_marks_of_an_earlier_plan_and_a_damaged_file(run: Run) -> None:
    """The first are counted apart; of the second it is said why nothing is counted."""
    mark(run, "p")
    other = TrialKey("gone", "p9", "s", 0)
    change_annotations(run.root, [Edit(trial=other, reader="anna", mark=Mark.FAIL)])
    summary = report(run).data[MARKS]
    assert summary is not None
    assert (summary.records, summary.outside) == (1, 1)
    (run.root / "annotations.parquet").write_bytes(b"no table")
    summary = report(run).data[MARKS]
    assert summary is not None
    assert summary.damage is not None
    [counts, _] = report(run, "scoring=human").data[SCORERS]
    assert counts.unscored[0].reason.startswith("annotations.parquet cannot be read")


def test_shown_alike(run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Console, Markdown and page; names and notes that people typed are inert."""
    mark(run, "pfpffppf", "<b>eve", note="<script>1</script>")
    built = report(run, "scoring=exact")
    print_report(built.data)
    console = " ".join(capsys.readouterr().out.split())
    assert "marks of 8 records of 4 prompts by 1 reader: 4 pass, 4 fail" in console
    assert "marks and scorer exact agree on 75" in console
    assert "Cohen's kappa 0.50 [" in console
    markdown = as_markdown(built.data)
    assert "**Marks**" in markdown
    assert "<script>" not in markdown
    write_html(built, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert 'id="marks"' in page
    assert "<b>eve" not in page
