"""The table of settings on the three outputs: its columns and marks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from evalharness.analysis.summary import SettingSummary
from evalharness.report.build_report import Report
from evalharness.report.section import ReportData
from evalharness.report.sections.leaders import LEADERS
from evalharness.report.sections.settings import tables
from evalharness.report.sections.settings.all_figures import setting_figures
from evalharness.report.sections.settings.figure import ConsoleColumn, Figure
from evalharness.report.sections.settings.number_format import SHARE
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.sections.settings.tables import (
    console_settings,
    leading_settings,
    settings_table,
)
from tests.report import runs


def printed(report: ReportData, width: int) -> str:
    """The table as a terminal of a width shows it."""
    assert SETTINGS.console is not None
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    for item in SETTINGS.console(report, width).items:
        console.print(item)
    return out.getvalue()


def with_settings(report: ReportData, rows: Sequence[SettingSummary]) -> ReportData:
    """A report of other settings."""
    return ReportData({"settings": list(rows), "leaders": report[LEADERS]})


def headings(report: ReportData) -> list[tuple[str, str]]:
    """The columns of the page."""
    table = settings_table(report[SETTINGS], report[LEADERS])
    return [(column.group, column.heading) for column in table.columns]


def test_a_new_figure_is_one_entry(sweep: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is then on the page, in Markdown and on a terminal, with its interval and its footnote."""
    figure = Figure(
        group="Repeatability", heading="commonest", help="share of the commonest text",
        value=lambda row: row.modal_share, format=SHARE, interval=lambda _: [0.25, 0.75],
        markdown="commonest",
        console=ConsoleColumn(
            heading="commonest\n[95% CI]", has_interval=True, footnote="commonest: its share",
        ),
    )  # fmt: skip
    monkeypatch.setattr(
        tables, "setting_figures", lambda rows: [*setting_figures(rows), figure]
    )  # fmt: skip
    assert SETTINGS.markdown is not None
    assert SETTINGS.console is not None
    share = sweep.data[SETTINGS][0].modal_share
    assert share is not None
    table = settings_table(sweep.data[SETTINGS], sweep.data[LEADERS])
    assert table.groups[-1] == ("Repeatability", 1)
    cell = table.rows[0][1][-1]
    assert (cell.text, cell.detail) == (f"{100 * share:.0f}\u00a0%", "[25,\u00a075]")
    (markdown,) = SETTINGS.markdown(sweep.data)
    assert "USD / 1,000 | commonest |" in markdown
    assert f"{100 * share:.0f}% [25,75]" in printed(sweep.data, 200)
    assert SETTINGS.console(sweep.data, 200).footnotes[-1] == "commonest: its share"


def test_the_best_is_marked_only_where_something_is_worse(sweep: Report) -> None:
    """A leading group that holds every setting marks none."""
    leaders = sweep.data[LEADERS]
    assert leaders["agreement"] is not None
    assert leading_settings(leaders, "agreement") == set(leaders["agreement"].group)
    assert leaders["score"] is not None
    everyone = replace(leaders["score"], group=[row.setting_id for row in sweep.data[SETTINGS]])
    assert leading_settings({"score": everyone}, "score") == set()
    assert leading_settings({"score": None}, "score") == set()


def test_columns_without_any_figure_are_left_out(sweep: Report) -> None:
    """No column of dashes: answers were not parsed, nothing was billed."""
    shown = headings(sweep.data)
    assert ("Repeatability", "same answer") not in shown
    assert ("Cost", "billed") not in shown
    assert ("Latency", "p99") in shown


def test_a_percentile_that_is_withheld_says_of_how_many(tmp_path: Path) -> None:
    """Below 100 answers the column of p99 holds a dash and n, not nothing."""
    for prompts, shown in ((10, False), (40, True)):
        report = runs.sweep(tmp_path / str(prompts), prompts, 1).data
        table = settings_table(report[SETTINGS], report[LEADERS])
        place = [column.heading for column in table.columns].index("p99")
        cell = table.rows[0][1][place]
        assert cell.detail.endswith(f"n\u00a0=\u00a0{3 * prompts}")
        assert cell.detail.startswith("[") is shown
        assert (cell.text != "—") is shown


@pytest.mark.parametrize(("mean", "shown"), [(None, False), (0.0, False), (2.0, True)])
def test_tokens_that_never_occur_take_no_column(
    sweep: Report, mean: float | None, shown: bool
) -> None:
    """Nothing was cached: no column of zeros."""
    first, *others = sweep.data[SETTINGS]
    cached = replace(first.tokens["cached_tokens"], mean=mean)
    changed = replace(first, tokens={**first.tokens, "cached_tokens": cached})
    report = with_settings(sweep.data, [changed, *others])
    assert (("Tokens a request", "cached") in headings(report)) is shown
    assert ("Tokens a request", "reasoning") not in headings(report)


def test_one_repeat_has_no_pass_at_k(sweep: Report) -> None:
    """pass^1 and pass@1 are the mean, and nothing can be all alike."""
    assert {("Score", "pass^3"), ("Score", "pass@3")} <= set(headings(sweep.data))
    rows = [
        replace(row, agreement=replace(row.agreement, raw=replace(row.agreement.raw, n=1)))
        for row in sweep.data[SETTINGS]
    ]
    report = with_settings(sweep.data, rows)
    assert not any(heading.startswith("pass") for _, heading in headings(report))
    assert SETTINGS.console is not None
    footnotes = [SETTINGS.console(part, 100).footnotes for part in (sweep.data, report)]
    assert [line.partition(":")[0] for line in footnotes[0]] == ["same text", "all N same"]
    assert [line.partition(":")[0] for line in footnotes[1]] == ["same text"]


def test_statuses_share_a_column_of_a_terminal(sweep: Report) -> None:
    """One that occurs is a column with its name; several are one, and never take two tables."""
    row = sweep.data[SETTINGS][0]
    cut = replace(
        row,
        status={**row.status, "truncated": 3},
        status_share={**row.status_share, "truncated": 0.25},
    )
    failed = replace(
        cut, status={**cut.status, "error": 6}, status_share={**cut.status_share, "error": 0.5}
    )
    assert "cut %" not in printed(with_settings(sweep.data, [row]), 100)
    one = printed(with_settings(sweep.data, [cut]), 100)
    assert "cut %" in one
    assert " 25%" in one
    two = printed(with_settings(sweep.data, [failed]), 100)
    assert "/error %" in two
    assert " 25/50 " in two


def test_where_everything_is_free_a_terminal_has_no_column_of_zeros(sweep: Report) -> None:
    """The answer to "Cheapest" says so already; an unknown cost is a dash."""
    rows = sweep.data[SETTINGS]
    for total, shown in ((0, False), (None, True)):
        changed = [replace(row, cost_usd=replace(row.cost_usd, total=total)) for row in rows]
        assert ("cost $" in printed(with_settings(sweep.data, changed), 200)) is shown


def test_short_times_are_in_milliseconds(sweep: Report) -> None:
    """Where all are below a second, so that nobody has to read 0.0035."""
    assert "latency s" in printed(sweep.data, 100)
    rows = [
        replace(row, latency_s=replace(row.latency_s, p50=0.0035, p95=0.0085))
        for row in sweep.data[SETTINGS]
    ]
    shown = printed(with_settings(sweep.data, rows), 100)
    assert "latency ms" in shown
    assert "3.5/8.5" in shown


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_cut_in_the_width_there_is(sweep: Report, width: int) -> None:
    """With every mishap there is, all headings and all names are whole, and no line is too long."""
    mishaps = dict.fromkeys(("truncated", "empty", "refused", "error"), 5)
    rows = [
        replace(
            row,
            status={**row.status, **mishaps},
            trials=row.trials + (row.axes["temperature"] > 0),
        )
        for row in sweep.data[SETTINGS]
    ]
    shown = printed(with_settings(sweep.data, rows), width)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    for heading in ("trials", "cut/empty", "/refused/error %", "p50/p95", "cost $"):
        assert heading in shown
    made = console_settings(rows, width)
    assert len(made) > 1
    for row in rows:
        assert shown.count(row.label + " ") >= len(made)


def test_a_table_that_fits_is_one(sweep: Report) -> None:
    """Nothing is split that has its room; equal numbers of trials stand in the heading alone."""
    assert len(console_settings(sweep.data[SETTINGS], 200)) == 1
    assert "trials" not in printed(sweep.data, 200)
