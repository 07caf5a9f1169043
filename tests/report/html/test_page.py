"""A report as one HTML page."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalharness.errors import ConfigError, StorageError
from evalharness.report.build_report import Report
from evalharness.report.html_report import (
    render_report,
    start_engine,
    write_html,
    write_prompt_html,
)
from tests.report import runs


def test_a_run_of_one_setting_and_one_repeat_has_a_page(tmp_path: Path) -> None:
    """The smallest run there is can be reported."""
    built = runs.sweep(tmp_path, 3, 1, repeats=1)
    page = render_report(built.data)
    assert "says nothing about repeatability" in page


def test_a_page_appears_whole_or_not_at_all(hostile: Report, tmp_path: Path) -> None:
    """Where the disk refuses, the old page stays and nothing is left beside it."""
    target = tmp_path / "page.html"
    target.write_text("old")
    write_html(hostile, target)
    assert target.read_text().startswith("<!doctype html>")
    with pytest.raises((StorageError, OSError)):
        write_html(hostile, tmp_path / "missing" / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_an_unknown_prompt_has_no_page(sweep: Report, tmp_path: Path) -> None:
    """The message names the run and what to type instead."""
    with pytest.raises(ConfigError, match="no prompt `nobody`"):
        write_prompt_html(sweep, "nobody", tmp_path / "page.html")


def test_equal_data_give_equal_pages(hostile: Report, hostile_page: Path) -> None:
    """A page is a function of its data."""
    assert render_report(hostile.data) == hostile_page.read_text(encoding="utf-8")
    engine = start_engine()
    assert render_report(hostile.data, engine) == hostile_page.read_text(encoding="utf-8")
