"""The page's tables of comparisons and trends."""

from __future__ import annotations

import pytest

from evalharness.report.sections.comparisons.differences import slope_sentences
from evalharness.report.sections.comparisons.page_tables import (
    MAX_ROWS,
    comparison_table,
    trend_table,
)
from tests.report.sections.comparisons.rows import comparison, trend


def test_pooled_comparisons_come_first_and_the_rest_is_counted() -> None:
    """A large grid does not make the page grow without end."""
    rows = [comparison(stratum={"top_p": i}) for i in range(MAX_ROWS + 4)]
    table = comparison_table([*rows, comparison(pooled=True)])
    assert table is not None
    assert [row.where for row in table.rows[:2]] == ["pooled over 4 pairs", "top_p 0"]
    assert (len(table.rows), table.left_out) == (MAX_ROWS, 5)
    assert comparison_table([]) is None
    assert trend_table([]) is None


def test_cells_of_a_comparison() -> None:
    """Sides, figures with units, and what would be missed; a dash for what is unknown."""
    found = comparison(difference=-0.5, ci95=[-0.6, -0.4], p_adjusted=0.001, mde=0.1,
                      mde_from="bound")  # fmt: skip
    empty = comparison(difference=None, ci95=None, n=0, p=None, p_adjusted=None)
    table = comparison_table([found, empty])
    assert table is not None
    first, second = table.rows
    assert first.what == "seed not sent − 7"
    assert (first.size, first.interval) == ("−50.0\u00a0pp", "[−60.0,\u00a0−40.0]")
    assert (first.detectable, first.tally, first.detected) == (
        "≤\u00a010.0\u00a0pp",
        "0 / 12 / 0",
        True,
    )
    assert (second.size, second.interval, second.detectable) == ("—", "", "—")


@pytest.mark.parametrize(
    ("metric", "slope", "ci95", "expected"),
    [
        ("cost_usd", 1.82e-5, [6.62e-6, 2.98e-5],
         "a request costs $0.0000182 more [+0.00000662,\u00a0+0.0000298]"),
        ("latency_s", -0.0052, [-0.0278, -0.0013], "answers take 5.2\u00a0ms less [−27.8,\u00a0−1.3]"),
        ("agreement", -1.5, [-2.1, -1.2], "the same text 150.0\u00a0pp less often [−210,\u00a0−120]"),
    ],
)  # fmt: skip
def test_a_slope_and_its_interval_share_a_unit_people_read(
    metric: str, slope: float, ci95: list[float], expected: str
) -> None:
    """No power of ten, no seconds beside milliseconds, and a slope of shares has no bounds."""
    row = trend(metric=metric, by="top_p", slope=slope, ci95=ci95)
    assert slope_sentences([row]) == [f"Per unit of top_p: {expected}"]
    table = trend_table([row])
    assert table is not None
    assert (
        table.rows[0].interval == expected.partition(" [")[1].strip() + expected.partition(" [")[2]
    )
