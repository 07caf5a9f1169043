"""The parts of a report that show comparisons and trends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.trend import Trend
from evalharness.report.build_report import Report
from evalharness.report.section import PageContext, ReportData
from evalharness.report.sections.comparisons.section import COMPARISONS, NOT_COMPARABLE, TRENDS
from tests.report.sections.comparisons.rows import comparison, trend


def test_rows_can_be_read_back_from_their_json(sweep: Report) -> None:
    """The JSON of a comparison and a trend has the types that the page of the schema names."""
    for section, kind in ((COMPARISONS, list[Comparison]), (TRENDS, list[Trend])):
        rows: list[Any] = sweep.data[section]
        assert rows
        assert msgspec.json.decode(msgspec.json.encode(rows), type=kind) == rows
    assert sweep.data[NOT_COMPARABLE] == {}


def test_trends_that_are_real_are_listed_in_markdown() -> None:
    """Ten at most; further ones are counted."""
    assert TRENDS.markdown is not None
    report = ReportData({"trends": [trend(by=f"a*{i}") for i in range(12)]})
    (block,) = TRENDS.markdown(report)
    assert block.startswith("**Trends along an axis** (95 % intervals)\n\n- Per unit of a\\*0: ")
    assert block.endswith("\n- and 2 more in the HTML report")
    assert TRENDS.markdown(ReportData({"trends": [trend(p_adjusted=0.2)]})) == []


@pytest.mark.parametrize("shown", [True, False])
def test_the_page_has_a_part_where_there_are_rows(*, shown: bool) -> None:
    """Neither a view nor a chart without rows."""
    rows = [comparison(difference=0.1)] if shown else []
    context = PageContext(ReportData({"comparisons": rows, "trends": []}), {}, 0)
    assert COMPARISONS.page is not None
    assert (COMPARISONS.page.view(context) is not None) is shown
    assert bool(COMPARISONS.page.charts(context)) is shown
    assert TRENDS.page is not None
    assert TRENDS.page.view(context) is None
