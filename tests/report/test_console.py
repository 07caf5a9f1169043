"""The report on a terminal: the answers first, then a table that is always whole."""

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
    lines = printed(data, 120)
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
    lines = printed(data, 120)
    place = lines.index("Which settings really differ?")
    assert "that does not mean equal" in lines[place + 1]
    assert "more comparisons: evalharness compare" in lines[place + 2]


@pytest.mark.parametrize("width", [60, 100, 160])
def test_no_column_is_ever_cut(data: Row, width: int) -> None:
    """However narrow, with every status seen, each setting has its name and all its figures."""
    for row in data["settings"]:
        row["status"].update(truncated=10, empty=5, refused=4, error=3)
        shares = {name: n / row["trials"] for name, n in row["status"].items()}
        row["status_share"].update(shares)
    lines = printed(data, width)
    assert not any("…" in line for line in lines if line.startswith((" ", "setting")))
    headings = " ".join(line for line in lines if line.startswith("setting"))
    for word in ("trials", "refused/error %", "[95% CI]", "p50/p95", "in/out", "cost $"):
        assert word in headings
