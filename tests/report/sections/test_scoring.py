"""How many records were scored, and the scores of several scorers."""

from __future__ import annotations

from msgspec.structs import replace

from evalharness.report.build.scoring import ScorerCounts, UnscoredReason
from evalharness.report.build_report import Report
from evalharness.report.section import ReportData
from evalharness.report.sections.scoring import SCORERS
from evalharness.report.sections.settings.section import SETTINGS


def counts(name: str, *unscored: UnscoredReason) -> ScorerCounts:
    """A scorer of ten records."""
    missing = sum(reason.n for reason in unscored)
    return ScorerCounts(name=name, records=10, scored=10 - missing, unscored=list(unscored))


def test_scorers_after_the_first_make_a_table(sweep: Report) -> None:
    """The table of settings has room for one; a scorer without a figure has dashes."""
    assert SCORERS.console is not None
    rows = [replace(row, scores={"f1": row.score}) for row in sweep.data[SETTINGS]]
    for names, tables in ((["exact"], 0), (["exact", "f1", "none"], 1)):
        report = ReportData({"settings": rows, "scorers": [counts(name) for name in names]})
        assert sum(item != "" for item in SCORERS.console(report, 100).items) == tables


def test_what_is_not_scored_is_said_with_its_reasons(sweep: Report) -> None:
    """In a footnote, on one line, whatever a scorer is called."""
    assert SCORERS.console is not None
    scorers = [
        counts("exact\n", UnscoredReason(reason="no target", n=1)),
        counts("whole"),
    ]
    report = ReportData({"settings": sweep.data[SETTINGS], "scorers": scorers})
    assert SCORERS.console(report, 100).footnotes == [
        "score: exact⏎, mean over prompts of the mean over their scored repeats",
        "exact⏎: 9 of 10 records scored; not scored: no target (1)",
    ]
