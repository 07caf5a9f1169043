"""The plot of score against cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evalharness.report.build_report import Report
from evalharness.report.sections.distributions.section import DISTRIBUTIONS
from evalharness.report.sections.money import tradeoff_chart
from evalharness.report.sections.money.tradeoff_chart import Point, tradeoff_charts
from evalharness.report.sections.settings.section import SETTINGS


@given(st.lists(st.tuples(st.floats(0.01, 9), st.floats(0, 1)), min_size=2, max_size=40))
def test_names_in_a_plot_cover_nothing(places: list[tuple[float, float]]) -> None:
    """Whatever the points, no two names meet, nor a name and another's point."""
    points = [
        Point(label=f"T={i}, seed=none", x=x, y=y, unbeaten=i % 3 == 0)
        for i, (x, y) in enumerate(places)
    ]
    names = tradeoff_chart.place_names(points)
    boxes = [tradeoff_chart.name_box(name, points) for name in names]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert {name.point.label for name in names} <= {point.label for point in points}


def test_a_trade_off_needs_something_to_trade(sweep: Report) -> None:
    """Where every score is the same, agreement stands for it; the caption says what is drawn."""
    settings, distributions = sweep.data[SETTINGS], sweep.data[DISTRIBUTIONS]
    (drawn,) = tradeoff_charts(settings, distributions)
    assert drawn.title == "Cost, score and agreement"
    alike = [replace(row, score=replace(row.score, mean=0.0)) for row in settings]
    (drawn,) = tradeoff_charts(alike, distributions)
    assert drawn.title == "Cost and agreement"
    assert "mean score" not in drawn.caption
    assert drawn.spec["encoding"]["y"]["field"] == "agreement"


def test_latency_stands_for_a_cost_that_nobody_pays(sweep: Report) -> None:
    """Where nothing costs anything, the caption says that latency is drawn instead."""
    free = [
        replace(row, cost_usd=replace(row.cost_usd, per_1k_requests=0.0))
        for row in sweep.data[SETTINGS]
    ]
    (drawn,) = tradeoff_charts(free, sweep.data[DISTRIBUTIONS])
    assert drawn.title == "Latency, score and agreement"
    assert "no costs to compare, so latency stands for them" in drawn.caption
    assert drawn.spec["encoding"]["x"]["title"].startswith("mean latency (")
