"""Errors by cause."""

from __future__ import annotations

from evalharness.report.build_report import Report
from evalharness.report.sections.attempts.section import ERRORS
from evalharness.report.sections.settings.section import SETTINGS
from tests.report import runs


def test_errors_are_counted_by_cause_with_an_example(hostile: Report) -> None:
    """Every error is in one row; its message is kept, shortened."""
    rows = hostile.data[ERRORS]
    total = sum(row.status["error"] for row in hostile.data[SETTINGS])
    assert sum(row.count for row in rows) == total == len(runs.PAYLOADS)
    assert all(row.error_kind == "server_error" and row.example for row in rows)
