"""A report that is read back from ``summary.json``."""

from __future__ import annotations

import json

from evalharness.report.build_report import Report
from evalharness.report.html_report import render_report
from evalharness.report.json import as_json_text, read_summary


def test_a_report_is_read_back_whole(sweep: Report) -> None:
    """The same JSON, and the same page."""
    content = as_json_text(sweep.data).encode()
    data = read_summary(content, location=sweep.run.location)
    assert data is not None
    assert as_json_text(data).encode() == content
    assert render_report(data) == render_report(sweep.data)


def test_what_another_version_wrote_is_no_report(sweep: Report) -> None:
    """Nor what is damaged."""
    values = json.loads(as_json_text(sweep.data))
    without = {key: value for key, value in values.items() if key != "money"}
    for changed in (without, values | {"new": 1}, values | {"run": 1}, [values]):
        assert read_summary(json.dumps(changed).encode()) is None
    assert read_summary(b"{") is None
    assert read_summary(b"\xff") is None
