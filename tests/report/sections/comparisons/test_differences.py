"""Sentences on differences: each with its interval, none told twice."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from evalharness.analysis.comparison.comparison import Comparison
from evalharness.report.build_report import Report
from evalharness.report.sections.comparisons.differences import (
    comparison_sentence,
    slope_sentences,
    split_differences,
)
from evalharness.report.sections.comparisons.section import COMPARISONS, TRENDS
from tests.report.sections.comparisons.rows import comparison, trend


@pytest.fixture
def rows(sweep: Report) -> list[Comparison]:
    """The comparisons of the sweep."""
    return sweep.data[COMPARISONS]


@pytest.fixture
def pooled(rows: list[Comparison]) -> Callable[[str], Comparison]:
    """The first pooled comparison in a metric."""
    return lambda metric: next(r for r in rows if r.metric == metric and r.pooled)


def test_figures_side_by_side_share_a_unit(pooled: Callable[[str], Comparison]) -> None:
    """A difference of 2 ms within ±0.5 s is told in seconds; one of 2 ms within ±3 ms in ms."""
    row = replace(
        pooled("latency_s"), difference=0.002, ci95=[-0.5, 0.504], mde=0.6, p_adjusted=0.9, p=0.9
    )
    assert "+0.002\u00a0s [−0.5,\u00a0+0.504]; under 0.6\u00a0s" in comparison_sentence(row)
    row = replace(row, ci95=[-0.001, 0.005], mde=0.004)
    assert "+2\u00a0ms [−1,\u00a0+5]; under 4\u00a0ms" in comparison_sentence(row)


def test_a_figure_that_no_prompt_changes_is_equal_not_zero(
    pooled: Callable[[str], Comparison],
) -> None:
    """Where all prompts are tied the sentence says equal, with the interval that leaves open."""
    row = replace(
        pooled("score"), difference=0.0, wins=0, losses=0, ci95=[-0.06, 0.06], p_adjusted=1.0, p=1.0
    )
    assert f"score equal for each of {row.n} prompts [−6.0,\u00a0+6.0]" in comparison_sentence(row)
    assert split_differences([replace(row, metric="completion_tokens")]) == ([], [])


def test_real_and_undetected_differences_are_told_apart_by_the_adjusted_p(
    rows: list[Comparison],
) -> None:
    """Each chosen comparison is in exactly one list, by its adjusted p alone."""
    detected, undetected = split_differences(rows)
    assert all(row.is_detected for found in detected for row in found.rows)
    assert not any(row.is_detected for found in undetected for row in found.rows)
    chosen = [row for found in [*detected, *undetected] for row in found.rows]
    same = [r for r in rows if r.metric == "cost_usd" and not r.difference]
    assert same, "seeds cost the same, which is not news"
    listed = [row for row in rows if row.pooled and row not in same]
    assert len(chosen) == len(listed), "where an axis is pooled, the pooled rows stand for it"


def test_every_sentence_on_a_difference_holds_its_interval(rows: list[Comparison]) -> None:
    """A reader never sees a difference without its interval."""
    detected, undetected = split_differences(rows)
    for found in [*detected, *undetected]:
        assert re.search(r"\[[^\]]+\]", found.text), found.text


def test_many_values_of_an_axis_share_one_sentence() -> None:
    """Nine temperatures do not fill the first screen; the sentence gives range and largest."""
    rows = [
        comparison(by="temperature", a_value=v, difference=-0.1 * v, p_adjusted=0.001)
        for v in range(1, 6)
    ]
    detected, _ = split_differences(rows)
    assert len(detected) == 1
    assert "at 5 values" in detected[0].text
    assert "10.0\u00a0pp to 50.0\u00a0pp less often" in detected[0].text
    assert len(detected[0].rows) == 5


def test_an_undetected_difference_names_what_would_be_missed(rows: list[Comparison]) -> None:
    """ "Not detected" stands beside the smallest difference that would have been."""
    _, undetected = split_differences(rows)
    latency = next(d for d in undetected if d.rows[0].metric == "latency_s")
    assert "would be missed" in latency.text


def _strata(hot: float, ends: list[float]) -> list[Comparison]:
    return [
        comparison(stratum={"temperature": t, "top_p": p}, difference=hot if t else 0.0,
                   ci95=ends if t else [-0.24, 0.24])
        for t in (0.0, 1.0) for p in (0.5, 1.0)
    ]  # fmt: skip


def test_a_mean_over_strata_that_disagree_names_them() -> None:
    """An effect at one temperature alone is not told as half an effect everywhere."""
    row = comparison(pooled=True, difference=-0.5, ci95=None, p=0.001, p_adjusted=0.001)
    detected, _ = split_differences([row, *_strata(-1.0, [-1.0, -0.75])])
    (text,) = [d.text for d in detected]
    assert "0.0\u00a0pp (temperature 0), −100.0\u00a0pp (temperature 1)" in text
    assert "alike for every prompt" not in text
    row = comparison(pooled=True, difference=-0.05, ci95=[-0.1, -0.01], p_adjusted=0.01)
    detected, _ = split_differences([row, *_strata(-0.1, [-0.3, 0.1])])
    assert "not alike" not in detected[0].text


def test_real_trends_are_told_and_no_others(sweep: Report) -> None:
    """A sentence for each detected slope along an axis, with its interval and direction."""
    trends, comparisons = sweep.data[TRENDS], sweep.data[COMPARISONS]
    assert {row.by for row in trends} <= {row.by for row in comparisons}
    (text,) = slope_sentences([trend(p_adjusted=0.031), trend(p_adjusted=0.2)])
    assert text.startswith("Per unit of temperature: the same text 10.0\u00a0pp less often [")
