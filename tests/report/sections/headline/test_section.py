"""The summary of a run in plain sentences: money, errors and slopes."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.report.markdown import as_markdown
from evalharness.report.sections.comparisons.page_tables import trend_table
from evalharness.report.sections.comparisons.section import TRENDS
from evalharness.report.sections.headline.facts import run_facts
from evalharness.report.sections.headline.section import headline
from tests.report.json_reports import report_of

Row = dict[str, Any]


def test_nothing_is_free_that_was_billed(data: Row) -> None:
    """A price table that says 0 does not hide the provider's bill; one caveat says it for all."""
    for row in data["settings"]:
        row["cost_usd"].update(total=0.0, per_1k_requests=0.0, billed_total=0.5)
        data["prices"]["settings"][row["setting_id"]] |= {
            "computed_minus_billed_usd": -0.5, "billed_total_usd": 0.5,
        }  # fmt: skip
    found = data["leaders"]["cost_usd"]
    found["value"] = 0.0
    for row in found["others"]:
        row["value"] = 0.0
    story = headline(report_of(data))
    assert "billed $4.00" in next(a.text for a in story.answers if a.question == "Cheapest")
    assert "$4.00 billed" in dict(run_facts(report_of(data)))["Cost"]
    told = [c.text for c in story.caveats if "billed" in c.text]
    assert told == [
        "The provider billed $4.00 where the price table comes to $0 in 8 of 8 settings: check "
        "the table."
    ]


def test_a_run_of_nothing_but_errors_says_so(data: Row) -> None:
    """No setting is cheapest for having failed; the repeats that were asked for are counted."""
    for row in data["settings"]:
        row["availability"] = 0.0
        row["agreement"]["raw"].update(n=0, pairwise=None)
    story = headline(report_of(data))
    assert {a.who for a in story.answers} == {"Not known"}
    assert all("ended in an error" in a.text for a in story.answers)
    assert dict(run_facts(report_of(data)))["Size"].endswith("× 3 repeats")
    told = " ".join(c.text for c in story.caveats)
    assert "No prompt has two usable repeats" in told
    assert "One repeat a prompt" not in told


def test_real_trends_are_told_and_no_others(data: Row) -> None:
    """A slope is a sentence with its interval where its p adjusted for the whole headline is below .05."""
    assert {row["by"] for row in data["trends"]} <= {row["by"] for row in data["comparisons"]}
    one = {**data["trends"][0], "metric": "score", "by": "temperature", "stratum": {"seed": None}, "slope": -0.388,
           "ci95": [-0.668, -0.109], "p": 0.02, "sentence": "x"}  # fmt: skip
    data["trends"] = [{**one, "p_headline": 0.031}, {**one, "p_adjusted": 0.01, "p_headline": 0.2}]
    (text,) = headline(report_of(data)).slopes
    assert text == (
        "Per unit of temperature at seed not sent: score 38.8\u00a0pp lower [−66.8,\u00a0−10.9]"
    )
    assert text.split("[")[0] in as_markdown(report_of(data))


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
    data: Row, metric: str, slope: float, ci95: list[float], expected: str
) -> None:
    """No power of ten, no seconds beside milliseconds, and a slope of shares has no bounds."""
    data["trends"] = [{**data["trends"][0], "metric": metric, "by": "top_p", "stratum": {}, "slope": slope,
                       "ci95": ci95, "p": 0.01, "p_adjusted": 0.01, "p_headline": 0.01, "n": 9}]  # fmt: skip
    assert headline(report_of(data)).slopes == [f"Per unit of top_p: {expected}"]
    table = trend_table(report_of(data)[TRENDS])
    assert table is not None
    (row,) = table.rows
    assert row.interval == expected.partition(" [")[1].strip() + expected.partition(" [")[2]
