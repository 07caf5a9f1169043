"""Runs to report."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.report.build_report import Report
from tests.report import runs
from tests.report.json_reports import json_of

Row = dict[str, Any]


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A run whose every text attacks its reader."""
    return runs.hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """40 prompts, four temperatures × two seeds, three repeats."""
    return runs.sweep(tmp_path_factory.mktemp("sweep"), 40, 4, seeds=(None, 7))


@pytest.fixture
def data(sweep: Report) -> Row:
    """The JSON of the sweep, to change at will."""
    return json_of(sweep.data)
