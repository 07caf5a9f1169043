"""The leading settings of each metric."""

from __future__ import annotations

from evalharness.analysis.comparison.leaders import Leaders, leaders
from evalharness.report.section import Section

LEADERS: Section[dict[str, Leaders | None]] = Section(
    "leaders",
    dict[str, Leaders | None],
    lambda context: leaders(context.run_data.frame),
    stage="process",
    title="by metric, the best setting and those not detectably worse; null below two settings",
)
