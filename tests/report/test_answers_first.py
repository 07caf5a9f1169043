"""The report on a terminal: the answers first, then the table."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from rich.console import Console

from evalharness.report.build import Built
from evalharness.report.console import print_report
from evalharness.report.story import tell

Row = dict[str, Any]


def printed(data: Row, width: int) -> list[str]:
    """The lines that a terminal of this width shows."""
    out = io.StringIO()
    print_report(data, Console(file=out, width=width, highlight=False))
    return out.getvalue().splitlines()


@pytest.fixture
def data(sweep: Built) -> Row:
    """The JSON of the sweep, to change at will."""
    return copy.deepcopy(sweep.data)


def test_a_sentence_a_question_stands_before_the_table(data: Row) -> None:
    """Every question has its sentence, and all of them come before the first row of figures."""
    lines = printed(data, 2_000)
    table = next(i for i, line in enumerate(lines) if line.startswith("setting "))
    for answer in tell(data).answers:
        place = next(i for i, line in enumerate(lines) if line.startswith(f"{answer.question}: "))
        assert place < table
        assert lines[place].endswith(answer.text)
    assert lines.index("Which settings really differ?") < table


def test_no_difference_is_said_to_be_no_proof(data: Row) -> None:
    """Where nothing is real, the question is answered all the same."""
    data["trends"] = []
    for row in data["comparisons"]:
        row["p_adjusted"] = 1.0
    lines = printed(data, 2_000)
    place = lines.index("Which settings really differ?")
    assert "that does not mean equal" in lines[place + 1]
    assert "more comparisons: evalharness compare" in lines[place + 2]
