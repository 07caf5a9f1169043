"""Pages whose tables are cut, and names that no plot can hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalharness.cli import main
from evalharness.cli.commands.import_ import import_file


def test_a_page_with_cut_tables_and_odd_names_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many labels, settings and groups: what is left out is named with a command that works."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "prompt_id": f"p{p}", "temperature": t / 20, "model": "m\uffff", "cluster": f"c{p}",
            "target": f"label {p % 30}", "text": f"label {(p + t) % 31}",
        }
        for p in range(60) for t in range(30)
    ]  # fmt: skip
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file("rows.jsonl", "many", [])
    arguments = ["report", "many", "scoring=exact", "--group-by", "cluster", "--html", "page.html"]
    assert main(arguments) == 0
    page = Path("page.html").read_text()
    assert "evalharness report many" in page
    assert "\uffff" not in page
