"""The leading settings of each metric."""

from __future__ import annotations

from evalharness.analysis.comparison.leaders import Leaders
from evalharness.report.section import Section
from evalharness.report.sections.comparisons.section import COMPARISONS_TASK, compare_once

LEADERS: Section[dict[str, Leaders | None]] = Section(
    "leaders",
    dict[str, Leaders | None],
    lambda context: compare_once(context).leaders,
    stage="process",
    task=COMPARISONS_TASK,
    title="by metric, the best setting and those not detectably worse; null below two settings",
)
