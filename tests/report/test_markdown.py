"""The report as Markdown: the same sentences, and nothing that a name could start."""

from __future__ import annotations

import re
from typing import Any

import pytest

from evalharness.report.build.report_data import Report
from evalharness.report.markdown import as_markdown, escape_text
from evalharness.report.summary_text import summary_text

Row = dict[str, Any]


def test_markdown_tells_the_same_story(data: Row) -> None:
    """Answers, caveats and one table row a setting are in the Markdown."""
    text, story = as_markdown(data), summary_text(data)
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
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in rows}
    assert len(rows) == 3
    assert len(cells) == 1
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


def test_markdown_has_the_load_points(data: Row) -> None:
    """What a benchmark measured stands in a summary too."""
    point = {
        "label": "poisson 10/s", "valid": False, "invalid": ["late"], "state": "done",
        "requested_rate": 10.0, "achieved_rate": 9.5, "throughput_per_s": 9.4,
        "output_tokens_per_s": 170.0, "concurrency": {"mean": 0.7, "asked": None},
        "goodput": None, "schedule_delay_s": {"p99": 0.0774, "max": 0.1},
        "requests": {"failed": 1, "sent": 200, "retries": 0}, "errors": [],
        "tpot_s": {"p50": 0.002, "p95": 0.003},
        "latency_s": {o: {"n": 199, "p50": 0.07, "p95": 0.1, "p99": 0.4} for o in ("sent", "scheduled")},
        "ttft_s": {o: {"n": 199, "p50": 0.03, "p95": 0.05, "p99": None} for o in ("sent", "scheduled")},
    }  # fmt: skip
    data["load"] = {"points": [point], "searches": [], "unfinished_measurements": 0}
    text = as_markdown(data)
    assert "| poisson 10/s INVALID | 10 | 9.5 | 9.4 |" in text
    assert "| poisson 10/s | sent | 199 | 0.03/0.05/— |" in text
