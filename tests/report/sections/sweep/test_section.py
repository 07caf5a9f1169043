"""The plots of a sweep: what is drawn, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from evalharness.report.build_report import Report
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.section import PageContext, ReportData
from evalharness.report.sections.distributions.section import DISTRIBUTIONS
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.sections.sweep.section import SWEEP, sweep_charts
from tests.report import runs


def charts(report: ReportData) -> list[Chart]:
    """The plots of a report."""
    assert SWEEP.page is not None
    return SWEEP.page.charts(PageContext(report, {}, 0))


def test_two_axes_get_curves_and_a_heat_map(sweep: Report) -> None:
    """Each known figure is drawn both ways, with n in its caption."""
    drawn = charts(sweep.data)
    rows = [chart.row for chart in drawn if chart.row]
    assert rows == ["Against temperature", "By temperature and seed"]
    assert len(drawn) == 2 * 5
    assert all("n\u00a0=\u00a040 prompts" in chart.caption for chart in drawn)


def test_a_row_of_plots_has_one_legend(sweep: Report) -> None:
    """Four plots of the same lines do not repeat their legend four times."""
    drawn = charts(sweep.data)
    assert [len(chart.row_legend) for chart in drawn if chart.row] == [2, 0]
    assert not any(chart.legend for chart in drawn)


def test_names_without_an_order_are_dots(sweep: Report) -> None:
    """Texts on an axis make no curve; null is a value like any other."""
    rows = [replace(row, axes={"model": row.label}) for row in sweep.data[SETTINGS]]
    drawn = sweep_charts(rows, sweep.data[DISTRIBUTIONS])
    assert [chart.row for chart in drawn if chart.row] == ["By setting"]
    assert len(drawn[0].spec["data"]["values"]) == len(rows)


def test_one_setting_is_no_sweep(sweep: Report) -> None:
    """There is nothing to draw against anything."""
    assert sweep_charts(sweep.data[SETTINGS][:1], sweep.data[DISTRIBUTIONS][:1]) == []


def test_what_never_changes_is_not_drawn(tmp_path: Path) -> None:
    """Outputs of one length everywhere are no plot: the table says it."""
    report = runs.sweep(tmp_path, 12, 3).data
    assert "Output length" in {chart.title for chart in charts(report)}
    equal = [
        replace(
            entry,
            means={
                **entry.means,
                "completion_tokens": replace(
                    entry.means["completion_tokens"], mean=7.0, ci95=None
                ),
            },
        )
        for entry in report[DISTRIBUTIONS]
    ]  # fmt: skip
    drawn = sweep_charts(report[SETTINGS], equal)
    assert "Output length" not in {chart.title for chart in drawn}


@pytest.mark.parametrize(("factor", "unit", "scale"), [(1, "s", 1), (0.01, "ms", 1000)])
def test_short_times_are_drawn_in_milliseconds(
    sweep: Report, factor: float, unit: str, scale: float
) -> None:
    """An axis in thousandths of a second is one nobody reads."""
    distributions = []
    for entry in sweep.data[DISTRIBUTIONS]:
        latency = entry.means["latency_s"]
        assert latency.mean is not None
        assert latency.ci95 is not None
        ends = [end * factor for end in latency.ci95]
        shorter = replace(latency, mean=latency.mean * factor, ci95=ends)
        distributions.append(replace(entry, means={**entry.means, "latency_s": shorter}))
    drawn = sweep_charts(sweep.data[SETTINGS], distributions)
    heat = [chart for chart in drawn if chart.title == "Latency"][-1]
    assert heat.caption.startswith(f"mean latency ({unit})")
    first = next(entry for entry in distributions if entry.setting_id == "s0")
    mean = first.means["latency_s"].mean
    assert mean is not None
    assert heat.spec["data"]["values"][0]["value"] == pytest.approx(mean * scale)


def test_no_caption_calls_a_colour_dark(sweep: Report) -> None:
    """On a dark page more is lighter: captions speak of strength."""
    captions = [chart.caption for chart in charts(sweep.data)]
    assert any("the stronger the colour" in text for text in captions)
    assert not any("dark" in text for text in captions)
