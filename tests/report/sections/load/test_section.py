"""The load points on a terminal and in Markdown."""

from __future__ import annotations

import io

from rich.console import Console

from evalharness.report.build.load_data import LoadSearch
from evalharness.report.section import PageContext, ReportData
from evalharness.report.sections.load.section import LOAD
from evalharness.report.sections.load.tables import FOOTNOTE, load_lines
from tests.report.sections.load.load_sections import load_point, report_of

BATCH = ReportData({"load": None, "settings": []})


def test_markdown_has_the_load_points() -> None:
    """What a benchmark measured stands in a summary too."""
    assert LOAD.markdown is not None
    heading, rates, times, *rest = LOAD.markdown(report_of(load_point(valid=False)))
    assert heading == "**Load**"
    assert "| poisson 10/s INVALID | 10 | 9.5 | 9.4 |" in rates
    assert "| poisson 10/s | sent | 199 | 0.03/0.05/— |" in times
    assert len(rest) == 1  # the note: nothing else is to be said


def test_markdown_leaves_out_the_rows_of_many_load_points() -> None:
    assert LOAD.markdown is not None
    parts = LOAD.markdown(report_of(*[load_point()] * 50))
    assert parts[1].count("\n") == 41
    assert "more in the HTML report" in parts


def test_the_console_has_two_tables_then_the_sentences() -> None:
    assert LOAD.console is not None
    part = LOAD.console(report_of(load_point(), unfinished=1), 100)
    console = Console(file=io.StringIO(), width=100)
    for item in part.items:
        console.print(item)
    text = console.file.getvalue()  # pyright: ignore
    assert text.index("goodput") < text.index("TTFT s") < text.index("1 measurement did not finish")
    assert part.footnotes == [FOOTNOTE]


def test_a_batch_evaluation_has_no_load_section() -> None:
    assert LOAD.console is not None
    assert LOAD.markdown is not None
    assert LOAD.page is not None
    assert not LOAD.console(BATCH, 100).items
    assert not LOAD.console(BATCH, 100).footnotes
    assert LOAD.markdown(BATCH) == []
    assert LOAD.page.view(PageContext(BATCH, {}, 0)) is None
    assert LOAD.page.charts(PageContext(BATCH, {}, 0)) == []


def test_sentences_name_errors_retries_misses_and_searches() -> None:
    counts = {"scheduled": 9, "sent": 9, "delivered": 7, "failed": 2, "retries": 3, "warmup": 0,
              "not_sent": 0}  # fmt: skip
    goodput = {"slo": {"tpot_s": 1.0}, "share": 0.5, "share_sent": 0.5, "per_s": 1.0, "good": 4,
               "of": 9, "unjudged": 2}  # fmt: skip
    error = {"error_kind": "rate_limited", "http_status": 429, "attempts": 2}
    search = LoadSearch(
        settings=["s"], labels=["model=m"], result="between", low=8.0,
        high=9.0, rates=[8.0, 9.0], unmeasured_rates=[], goodput=0.95,
        shown_rate=8.0, outcome="8/s holds",
    )  # fmt: skip
    report = report_of(
        load_point(requests=counts, goodput=goodput, errors=[error]), searches=[search]
    )
    data = report[LOAD]
    assert data is not None
    assert load_lines(data) == [
        "poisson 10/s: 2 requests failed, rate_limited (HTTP 429); in no latency",
        "poisson 10/s: 3 retries were sent",
        "poisson 10/s: 2 answers lack a figure the SLO asks for, and count as misses",
        "search for model=m: 8/s holds (goodput 95\u00a0%)",
    ]
