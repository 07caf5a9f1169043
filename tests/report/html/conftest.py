"""Pages of the runs to report, and one browser for all tests that look at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evalharness.report.build_report import Report
from evalharness.report.html_report import write_html
from tests.report.html.browser import Browser, find_chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with Browser(path) as browser:
        yield browser


@pytest.fixture(scope="session")
def hostile_page(hostile: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    target = tmp_path_factory.mktemp("pages") / "hostile.html"
    write_html(hostile, target)
    return target


@pytest.fixture(scope="session")
def sweep_page(sweep: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    target = tmp_path_factory.mktemp("pages") / "sweep.html"
    write_html(sweep, target)
    return target
