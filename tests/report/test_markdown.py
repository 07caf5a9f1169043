"""The report as Markdown: the same sentences, and nothing that a name could start."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from evalharness.report.build_report import Report
from evalharness.report.markdown import as_markdown
from evalharness.report.sections.headline.section import headline
from evalharness.report.words.markdown_text import escape_text
from tests.report.json_reports import report_of

Row = dict[str, Any]


def test_markdown_tells_the_same_story(data: Row) -> None:
    """Answers, caveats and one table row a setting are in the Markdown."""
    text, story = as_markdown(report_of(data)), headline(report_of(data))
    for answer in story.answers:
        assert escape_text(answer.text) in text
    for row in data["settings"]:
        assert any(line.startswith(f"| {row['label']}") for line in text.splitlines())


def test_markdown_of_hostile_names_starts_nothing(hostile: Report) -> None:
    """Names hold no tag, link, image, mention, table cell or line of their own."""
    text = as_markdown(hostile.data)
    assert "<" not in text
    assert "http://" not in text
    rows = [line for line in text.splitlines() if line.startswith("| model=")]
    pairs = [line for line in rows if " / model=" in line]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in pairs}) == 1
    rows = [line for line in rows if line not in pairs]
    cells = Counter(len(re.findall(r"(?<!\\)\|", line)) for line in rows)
    assert sorted(cells.values()) == [3, 3]  # settings, and how soon their repeats part
    assert not any(char in text for char in "\u202e\u2066\x1b\x00\x07")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("[x](http://y)", r"\[x](http&#58;//y)"),
        ("@team", "&#64;team"),
        ("- item", "&#8203;- item"),
        ("1. item", "&#8203;1. item"),
        ("# title #12", r"\# title \#12"),
        ("two\nlines", "two⏎lines"),
        ("16.3 s", "16.3 s"),
        ("−0.4", "−0.4"),
    ],
)
def test_markdown_escapes(text: str, shown: str) -> None:
    """What would be active is escaped, what would not is left readable."""
    assert escape_text(text) == shown
