"""The report as JSON."""

from __future__ import annotations

import json

from evalharness.analysis.comparison.leaders import DIRECTIONS
from evalharness.report.build.json import as_json_text
from evalharness.report.build.report_data import Report


def test_the_json_of_a_report_is_json(sweep: Report, hostile: Report) -> None:
    """Everything the page shows is in the JSON, without NaN."""
    for built in (sweep, hostile):
        assert json.loads(as_json_text(built.data))["leaders"].keys() == DIRECTIONS.keys()
