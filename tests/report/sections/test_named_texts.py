"""Names, files, hashes and texts in every form of a report, whatever a text holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from evalharness.report.build_report import Report
from evalharness.report.console_report import print_report
from evalharness.report.html_report import render_report
from evalharness.report.json import as_json_text
from evalharness.report.markdown import as_markdown
from tests.report.runs import write

PLAIN = "Answer in one word."
ODD = "Answer in <script>window.owned = 1</script> [two](http://x) **words**, | @all."


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Two system prompts, one from a file; the other is written to break out of its place."""
    names = [("plain", "plain.txt", "a" * 64), ("<b>odd</b>", None, "b" * 64)]
    return write(
        tmp_path,
        "r",
        {
            "prompt_id": ["p"] * 4, "setting_id": ["s0", "s0", "s1", "s1"], "repeat": [0, 1] * 2,
            "text": ["x", "x", "y", "z"],
        },
        {"prompt_id": ["p"]},
        {
            "setting_id": ["s0", "s1"], "label": ["system=plain", "system=<b>odd</b>"],
            "provider": ["v"] * 2, "model": ["m"] * 2, "params_json": ["{}"] * 2,
            "system": [PLAIN, ODD],
            "axes_json": [json.dumps({"system": name}) for name, _, _ in names],
            "variants_json": [
                json.dumps({"system": {"name": name, "file": file, "sha256": sha256}})
                for name, file, sha256 in names
            ],
        },
    )  # fmt: skip


def test_every_form_has_names_files_and_hashes(report: Report) -> None:
    """JSON and page have the texts too, and the page and Markdown the difference by words."""
    named = json.loads(as_json_text(report.data))["named_texts"]
    assert [(v["name"], v["file"], v["text"]) for v in named["values"]] == [
        ("plain", "plain.txt", PLAIN), ("<b>odd</b>", None, ODD),
    ]  # fmt: skip
    assert json.loads(as_json_text(report.data))["settings"][0]["params"]["system"] == PLAIN
    console = Console(width=100, highlight=False)
    with console.capture() as capture:
        print_report(report.data, console)
    page, text = render_report(report.data), as_markdown(report.data)
    for shown in (capture.get(), page, text):
        assert "plain.txt, sha256 aaaaaaaaaaaa, 19 characters" in shown.replace("&#46;", ".")
    assert "<del>one word" in page
    assert "~~one word" in text


def test_no_text_gets_out_of_its_place(report: Report) -> None:
    """A system prompt may hold what is a tag, a link or a table in its surroundings."""
    page, text = render_report(report.data), as_markdown(report.data)
    assert "<script>window" not in page
    assert "<b>odd" not in page
    assert "&lt;script&gt;" in page
    assert "<" not in text
    assert "http://" not in text
    assert "@all" not in text
