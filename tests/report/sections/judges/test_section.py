"""Judgings on the console, in Markdown and on the page."""

from __future__ import annotations

import msgspec

from evalharness.report.section import PageContext, ReportData
from evalharness.report.sections.judges.judge_text import judge_lines
from evalharness.report.sections.judges.judging_summary import JudgingSummary
from evalharness.report.sections.judges.section import JUDGES

SUMMARY = msgspec.convert(
    {
        "name": "better", "mode": "pairwise", "provider": "p", "model": "m*", "rubric": "r",
        "scale": None, "repeats": 2, "status": "complete", "planned": 8, "judged": 8,
        "questions_by_replies": {"2": 8}, "missing": 0, "replies": 16, "unparsed": 1, "failed": 0,
        "agreement": {"pairwise": 0.9, "ci95": [0.8, 1.0], "n": 2, "prompts": 8},
        "cost_usd": {"total": 0.000317, "n": 15, "unknown_reasons": {"count_missing": 1}, "billed_total": None, "billed_n": 0, "replies": 16},
        "pairwise": {
            "a": "T=0", "b": "T=1", "pairs": 6, "identical": 2, "prompts": 3, "preference": 0.75,
            "ci95": None, "p": 0.02, "verdicts": {"a": 9, "b": 3, "tie": 3},
            "position": {"first": 0.5, "ci95": [0.3, 0.7], "n": 12, "consistent": 1.0, "both": 8},
        },
    },
    JudgingSummary,
)  # fmt: skip


def test_sentences_of_a_judging() -> None:
    """What was judged, agreement, cost as far as it is known, preference and position."""
    assert judge_lines(SUMMARY) == [
        "judge `better` (m* at p): 8 of 8 ordered pairs judged, twice each; of 16 replies 1 held "
        "no verdict, 0 failed",
        "  the judge agrees with itself in 90.0% of pairs of repeats [80.0%, 100.0%]",
        "  judging cost $0.000317, not part of the run's cost; cost unknown for 1 (a count that the price "
        "needs is missing)",
        "  T=0 is preferred: T=0 over T=1 in 75.0%, p=0.02, ties half, n=3 prompts; 2 of 6 pairs "
        "identical",
        "  position: the first output is named in 50.0% [30.0%, 70.0%]; the same verdict in both "
        "orders: 100.0%",
    ]


def test_every_output_shows_the_same_lines() -> None:
    """Indented under a heading, as a list that Markdown shows literally, and as lists of a page."""
    report, none = ReportData({"judges": [SUMMARY]}), ReportData({"judges": []})
    assert JUDGES.console is not None
    assert JUDGES.markdown is not None
    assert JUDGES.page is not None
    lines = judge_lines(SUMMARY)
    assert JUDGES.console(report, 100).items == ["Judges", *(f"  {line}" for line in lines)]
    (block,) = JUDGES.markdown(report)
    assert block.startswith("**Judges**\n\n- judge \\`better\\` (m\\* at p)")
    assert JUDGES.page.view(PageContext(report, {}, 0)) == [lines]
    assert not JUDGES.console(none, 100).items
    assert not JUDGES.markdown(none)
    assert JUDGES.page.view(PageContext(none, {}, 0)) is None
