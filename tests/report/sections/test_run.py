"""The facts of a run."""

from __future__ import annotations

import msgspec

from evalharness.report.build_report import Report
from evalharness.report.sections.run import RUN, record_count_text


def test_missing_records_are_named_beside_the_planned(sweep: Report) -> None:
    """An import has no plan; a complete run needs no second number."""
    run = sweep.data[RUN]
    assert (run.planned, run.status, run.records) == (None, "imported", 960)
    assert record_count_text(run) == "960"
    assert record_count_text(msgspec.structs.replace(run, planned=960)) == "960"
    stopped = msgspec.structs.replace(run, planned=2000, status="stopped")
    assert record_count_text(stopped) == "960 of 2,000 planned (stopped)"
