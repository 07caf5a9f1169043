"""The plots of a report, as Vega-Lite specifications made from the data of ``report --json``."""

from __future__ import annotations

from typing import Any

from evalharness.report.html.charts import (
    comparisons,
    load,
    repeats,
    speed,
    sweeps,
    timeline,
    tradeoffs,
)
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.html.series import Series

Row = dict[str, Any]

__all__ = ["Chart", "report_charts"]


def report_charts(data: Row, series: dict[str, Series]) -> dict[str, list[Chart]]:
    """All plots of a page, by section.

    Args:
        data: the report's JSON.
        series: how settings are drawn; those missing from it are left out of the line plots.
    """
    return {
        "sweep": sweeps.sweep_charts(data),
        "repeats": repeats.repeat_charts(data, series),
        "speed": speed.speed_charts(data, series),
        "load": load.load_charts(data, series),
        "tradeoffs": tradeoffs.tradeoff_charts(data),
        "comparisons": comparisons.forest_charts(data),
        "timeline": timeline.timeline_charts(data),
    }
