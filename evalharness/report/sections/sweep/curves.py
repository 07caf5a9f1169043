"""Curves of each figure over a numeric axis, one line for each value of the other axes."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.comparison.comparison_text import stratum_text
from evalharness.analysis.data.json_values import JsonValues
from evalharness.analysis.summary import SettingSummary
from evalharness.config.parameter_values import same_value
from evalharness.process.text import plural
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.html.series import Axis, axis_value, series_look
from evalharness.report.sections.comparisons.words import REPORT
from evalharness.report.sections.sweep.metric import SweepMetric
from evalharness.report.words.sanitize import one_line

MAX_STRATA = 7  # lines in one plot
_LINE_OFFSET = 0.014  # between the points of two lines, as a share of the axis


def curve(
    rows: Sequence[SettingSummary], axis: Axis, axes: Sequence[Axis], metric: SweepMetric
) -> Chart:
    """A plot of a figure over ``axis``, which is one of ``axes``."""
    strata = _strata(rows, [other for other in axes if other.name != axis.name])
    joined = len(strata) <= MAX_STRATA
    series = [
        series_look(str(i), stratum_text(stratum, REPORT), i, i)
        for i, stratum in enumerate(strata if joined else [{}])
    ]

    def position_of(row: SettingSummary) -> Spec | None:
        x = axis_value(row, axis)
        if not isinstance(x, int | float) or isinstance(x, bool):
            return None
        key = next(i for i, s in enumerate(strata) if _within(row, s)) if joined else 0
        return {"x": float(x), "key": str(key)}

    values = metric.values(rows, position_of)
    if joined:
        _offset_lines(values, len(strata))
    spec = chart_parts.lines(
        values, series,
        chart_parts.quantity("x", one_line(axis.name, 40), scale={"zero": False, "padding": 12}),
        metric.channel(),
    )  # fmt: skip
    if not joined:
        spec["layer"] = []
    spec = chart_parts.with_intervals(chart_parts.with_points(spec, series), series)
    left_out = sum(axis_value(row, axis) not in axis.numbers for row in rows)
    note = f"; {plural(left_out, 'setting')} without a number not drawn" if left_out else ""
    legend = tuple(series) if joined and len(strata) > 1 else ()
    sizes = chart_parts.prompts_caption(value["n"] for value in values)
    return Chart(metric.title, f"{sizes}; 95 % intervals{note}", spec, legend)


def _offset_lines(values: list[Spec], lines: int) -> None:
    """Shift the points of each line sideways, so that intervals do not cover each other."""
    positions = [value["x"] for value in values]
    step = _LINE_OFFSET * (max(positions) - min(positions)) if positions else 0.0
    for value in values:
        value["x"] += step * (int(value["key"]) - (lines - 1) / 2)


def _strata(rows: Sequence[SettingSummary], others: Sequence[Axis]) -> list[JsonValues]:
    """The combinations of the other axes' values, in order of appearance."""
    strata: list[JsonValues] = []
    for row in rows:
        stratum = {axis.name: axis_value(row, axis) for axis in others}
        if not any(_equal(stratum, known) for known in strata):
            strata.append(stratum)
    return strata


def _equal(a: JsonValues, b: JsonValues) -> bool:
    return all(same_value(a[name], b[name]) for name in a)


def _within(row: SettingSummary, stratum: JsonValues) -> bool:
    return all(
        same_value(row.axes.get(name, row.params.get(name)), value)
        for name, value in stratum.items()
    )
