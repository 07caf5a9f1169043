"""What a judge's reply is read as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.judging.verdict_parsing import parse_grade, parse_verdict


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("GRADE: 1", 0.0), ("It is fine.\n**Grade:** 4", 0.75), ("grade: 1\nGRADE: 5", 1.0),
        ('{"grade": 3}', 0.5), ("4", 0.75), ("GRADE: 4/5", 0.75), ("GRADE: 2.5", 0.375),
        ("GRADE: 9", None), ("GRADE: -1", None), ("no idea, 4 or 5", None), ("", None),
        ('{"grade": true}', None), ('{"grade": 1e999}', None), ('{"other": 3}', None), (None, None),
    ],
)  # fmt: skip
def test_grades(text: str | None, value: float | None) -> None:
    """The last grade counts, mapped from 1–5 to 0–1; off the scale or absent is None."""
    assert parse_grade(text, (1, 5)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("VERDICT: 1", "1"), ("verdict: **Tie**", "tie"), ('{"verdict": "2"}', "2"), ("3", None)],
)
def test_verdicts(text: str, value: str | None) -> None:
    """A verdict is 1, 2 or a tie; anything else is none."""
    assert parse_verdict(text) == value


@given(st.text() | st.recursive(st.none() | st.integers() | st.floats(), st.lists).map(repr))
def test_any_reply_is_read_without_failing(text: str) -> None:
    """Whatever a model writes gives a value in [0, 1] or None."""
    value = parse_grade(text, (0, 10))
    assert value is None or 0 <= value <= 1
    assert parse_verdict(text) in ("1", "2", "tie", None)


def test_a_grade_that_was_only_thought_of_is_none() -> None:
    assert parse_grade("<think>GRADE: 5?</think>GRADE: 1", (1, 5)) == 0
    assert parse_grade("<think>GRADE: 5? No,", (1, 5)) is None
    assert parse_verdict("[THINK]verdict: 1[/THINK]verdict: 2") == "2"
