"""Charts of one figure against another."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from evalharness.report.build.report_data import Report
from evalharness.report.html.charts import tradeoffs


@given(st.lists(st.tuples(st.floats(0.01, 9), st.floats(0, 1)), min_size=2, max_size=40))
def test_names_in_a_plot_cover_nothing(places: list[tuple[float, float]]) -> None:
    """Whatever the points, no two names meet, nor a name and another's point."""
    points = [
        {"label": f"T={i}, seed=none", "latency": x, "score": y, "unbeaten": i % 3 == 0}
        for i, (x, y) in enumerate(places)
    ]
    named = tradeoffs.place_names(points, "latency", "score")
    boxes = [tradeoffs.name_box(p, points, "latency", "score") for p in named]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert {p["label"] for p in named} <= {p["label"] for p in points}


def test_a_trade_off_needs_something_to_trade(sweep: Report) -> None:
    """Where every score is the same, agreement stands for it; the caption says what is drawn."""
    data = copy.deepcopy(sweep.data)
    (drawn,) = tradeoffs.tradeoff_charts(data)
    assert drawn.title == "Cost, score and agreement"
    for row in data["settings"]:
        row["score"]["mean"] = 0.0
    (drawn,) = tradeoffs.tradeoff_charts(data)
    assert drawn.title == "Cost and agreement"
    assert "mean score" not in drawn.caption
    assert drawn.spec["encoding"]["y"]["field"] == "agreement"
