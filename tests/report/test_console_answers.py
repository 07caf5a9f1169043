"""The report on a terminal: the answers first, then the table."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from evalharness.report.console_report import print_report
from evalharness.report.sections.headline.section import headline
from tests.report.json_reports import report_of

Row = dict[str, Any]


def _differences_at(lines: list[str]) -> int:
    """Where the differences begin, with how many were tested."""
    return next(
        i
        for i, line in enumerate(lines)
        if line.startswith("Which differences were detected? (")
        and "by chance alone one report in 20 shows any" in line
    )


def printed(data: Row, width: int) -> list[str]:
    """The lines that a terminal of this width shows."""
    out = io.StringIO()
    print_report(report_of(data), Console(file=out, width=width, highlight=False))
    return out.getvalue().splitlines()


def test_a_sentence_a_question_stands_before_the_table(data: Row) -> None:
    """Every question has its sentence, and all of them come before the first row of figures."""
    lines = printed(data, 2_000)
    table = next(i for i, line in enumerate(lines) if line.startswith("setting "))
    for answer in headline(report_of(data)).answers:
        place = next(i for i, line in enumerate(lines) if line.startswith(f"{answer.question}: "))
        assert place < table
        assert lines[place].endswith(answer.text)
    assert _differences_at(lines) < table


def test_no_difference_is_said_to_be_no_proof(data: Row) -> None:
    """Where nothing is detected, the question is answered all the same."""
    data["trends"] = []
    for row in data["comparisons"]:
        row.update(p_adjusted=1.0, p_headline=None if row["p_headline"] is None else 1.0)
    lines = printed(data, 2_000)
    place = _differences_at(lines)
    assert "the outputs differ, by more than the repeats" in lines[place + 1]
    assert "more comparisons:" in lines[place + 2]
    assert lines[place + 3].strip().startswith("evalharness compare sweep --by ")
    data["agreement_across"] = []
    lines = printed(data, 2_000)
    assert "that does not mean equal" in lines[place + 1]
    assert "more comparisons:" in lines[place + 2]
    assert lines[place + 3].strip().startswith("evalharness compare sweep --by ")


def test_more_comparisons_are_offered_by_every_axis(data: Row) -> None:
    """A command for each swept axis, not for the first alone."""
    text = "\n".join(printed(data, 100))
    for axis in {row["by"] for row in data["comparisons"]}:
        assert f"evalharness compare sweep --by {axis}" in text


def test_nothing_to_compare_leaves_no_gap(data: Row) -> None:
    """Without comparisons there is no heading, and no second blank line for it."""
    data["comparisons"], data["trends"], data["judges"] = [], [], []
    lines = printed(data, 100)
    assert not [i for i in range(1, len(lines)) if not lines[i] and not lines[i - 1]]


def test_sections_and_tables_are_set_apart(data: Row) -> None:
    """One empty line before each section and table, none at the top, never two."""
    lines = printed(data, 60)
    assert lines[0]
    assert not [i for i in range(1, len(lines)) if not lines[i] and not lines[i - 1]]
    headings = [
        i for i, line in enumerate(lines) if line.startswith(("setting ", "Money", "Was it"))
    ]
    assert len(headings) > 4  # at this width the table of settings is several
    for index in headings[1:]:
        above = lines[index - 2 : index]  # a heading may have a line above its last one
        assert "" in above
