"""The answer of the headline on quality under load."""

from __future__ import annotations

from evalharness.report.section import ReportData
from evalharness.report.sections.headline.answers import HeadlineAnswer
from evalharness.report.sections.invariance.quality import (
    QUALITY,
    difference_text,
    heaviest,
    is_detected,
    loads_text,
    size_text,
)
from evalharness.report.words.format_numbers import DASH


def quality_answers(report: ReportData) -> list[HeadlineAnswer]:
    """The score under the heaviest load against the lightest; none without several loads."""
    row = heaviest(report[QUALITY])
    if row is None:
        return []
    seen = "detectably different" if is_detected(row) else "not detectably different"
    text = f"At {loads_text(row)}, paired by prompt: {seen} ({size_text(row)})."
    return [HeadlineAnswer("Score under load", difference_text(row), DASH, text, is_detected(row))]
