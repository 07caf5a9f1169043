"""Runs to report, and one browser for all tests that look at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evalharness.report.build.report_data import Built
from evalharness.report.html import write_html
from tests.report import runs
from tests.report.browser import Browser, find_chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with Browser(path) as found:
        yield found


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A run whose every text attacks its reader."""
    return runs.hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def hostile_page(hostile: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    target = tmp_path_factory.mktemp("pages") / "hostile.html"
    write_html(hostile, target)
    return target


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """40 prompts, four temperatures × two seeds, three repeats."""
    return runs.sweep(tmp_path_factory.mktemp("sweep"), 40, 4, seeds=(None, 7))


@pytest.fixture(scope="session")
def sweep_page(sweep: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    target = tmp_path_factory.mktemp("pages") / "sweep.html"
    write_html(sweep, target)
    return target
