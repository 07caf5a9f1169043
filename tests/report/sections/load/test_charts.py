"""The plots of load points."""

from __future__ import annotations

from evalharness.report.build.load_data import LoadSearch
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.html.series import Series
from evalharness.report.section import PageContext, ReportData
from evalharness.report.sections.load.charts import MAX_TIMELINES
from evalharness.report.sections.load.section import LOAD
from tests.report.sections.load.load_sections import load_point, report_of

SERIES = {"s": Series(key="0", label="model=m", colour="#000", dash=(1, 0), shape="circle")}
FAST = load_point(load={"arrival": "poisson", "rate": 20}, throughput_per_s=18.0)


def charts_of(report: ReportData) -> list[Chart]:
    assert LOAD.page is not None
    return LOAD.page.charts(PageContext(report, SERIES, 0))


def values_of(chart: Chart) -> list[dict[str, object]]:
    return chart.spec["data"]["values"]


def test_curves_join_load_points_by_rising_load() -> None:
    """Two origins, two percentiles, in the order of the rates asked for."""
    titles = {chart.title: chart for chart in charts_of(report_of(FAST, load_point()))}
    values = values_of(titles["Latency against throughput"])
    assert len(values) == 8
    assert [v["x"] for v in values if v["detail"] == "0sentp50"] == [9.4, 18.0]
    assert "Time per output token" not in titles  # unknown


def test_one_load_point_makes_no_curve() -> None:
    titles = [chart.title for chart in charts_of(report_of(load_point()))]
    assert titles == ["Time to first token", "In flight", "Requests a second"]


def test_a_search_is_drawn_at_its_reported_rate() -> None:
    search = LoadSearch(
        settings=["s"], labels=["model=m"], result="between", low=10.0,
        high=20.0, rates=[10.0, 20.0], unmeasured_rates=[], goodput=0.95,
        shown_rate=10.0, outcome="",
    )  # fmt: skip
    every, reported = (
        next(c for c in charts_of(report) if c.title == "Time to first token")
        for report in (
            report_of(load_point(), FAST), report_of(load_point(), FAST, searches=[search])
        )
    )  # fmt: skip
    assert (len(values_of(every)), len(values_of(reported))) == (4, 2)


def test_only_the_first_load_points_are_drawn_over_time() -> None:
    charts = charts_of(report_of(*[load_point()] * (MAX_TIMELINES + 2)))
    assert sum(chart.title == "In flight" for chart in charts) == MAX_TIMELINES
