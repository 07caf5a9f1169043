"""Sentences on differences: each with its interval, none told twice."""

from __future__ import annotations

import re
from typing import Any

from evalharness.report.words.differences import comparison_sentence, is_real, split_differences

Row = dict[str, Any]


def test_figures_side_by_side_share_a_unit(data: Row) -> None:
    """A difference of 2 ms within ±0.5 s is told in seconds; one of 2 ms within ±3 ms in ms."""
    row = next(r for r in data["comparisons"] if r["metric"] == "latency_s" and r["pooled"])
    row.update(difference=0.002, ci95=[-0.5, 0.504], mde=0.6, p_adjusted=0.9, p=0.9)
    assert "+0.002\u00a0s [−0.5,\u00a0+0.504]; under 0.6\u00a0s" in comparison_sentence(row)
    row.update(ci95=[-0.001, 0.005], mde=0.004)
    assert "+2\u00a0ms [−1,\u00a0+5]; under 4\u00a0ms" in comparison_sentence(row)


def test_a_figure_that_no_prompt_changes_is_equal_not_zero(data: Row) -> None:
    """Where all prompts are tied the sentence says equal, with the interval that leaves open."""
    row = next(r for r in data["comparisons"] if r["metric"] == "score" and r["pooled"])
    row.update(difference=0.0, wins=0, losses=0, ci95=[-0.06, 0.06], p_adjusted=1.0, p=1.0)
    assert f"score equal for each of {row['n']} prompts [−6.0,\u00a0+6.0]" in comparison_sentence(
        row
    )
    row["metric"] = "completion_tokens"
    assert split_differences([row]) == ([], [])


def test_real_and_undetected_differences_are_told_apart_by_the_adjusted_p(data: Row) -> None:
    """Each chosen comparison is in exactly one list, by its adjusted p alone."""
    real, undetected = split_differences(data["comparisons"])
    assert all(is_real(row) for found in real for row in found.rows)
    assert not any(is_real(row) for found in undetected for row in found.rows)
    chosen = [row for found in [*real, *undetected] for row in found.rows]
    same = [r for r in data["comparisons"] if r["metric"] == "cost_usd" and not r["difference"]]
    assert same, "seeds cost the same, which is not news"
    pooled = [row for row in data["comparisons"] if row["pooled"] and row not in same]
    assert len(chosen) == len(pooled), "where an axis is pooled, the pooled rows stand for it"


def test_every_sentence_on_a_difference_holds_its_interval(data: Row) -> None:
    """A reader never sees a difference without its interval."""
    real, undetected = split_differences(data["comparisons"])
    for found in [*real, *undetected]:
        assert re.search(r"\[[^\]]+\]", found.text), found.text


def test_many_values_of_an_axis_share_one_sentence(data: Row) -> None:
    """Nine temperatures do not fill the first screen; the sentence gives range and largest."""
    one = next(r for r in data["comparisons"] if r["metric"] == "agreement" and r["pooled"]
               and r["by"] == "temperature")  # fmt: skip
    rows = [{**one, "a_value": v, "difference": -0.1 * v, "p_adjusted": 0.001} for v in range(1, 6)]
    real, _ = split_differences(rows)
    assert len(real) == 1
    assert "at 5 values" in real[0].text
    assert "10.0\u00a0pp to 50.0\u00a0pp less often" in real[0].text
    assert len(real[0].rows) == 5


def test_an_undetected_difference_names_what_would_be_missed(data: Row) -> None:
    """ "Not detected" stands beside the smallest difference that would have been."""
    _, undetected = split_differences(data["comparisons"])
    latency = next(d for d in undetected if d.rows[0]["metric"] == "latency_s")
    assert "would be missed" in latency.text


def _row(**more: Any) -> Row:
    """A comparison of agreement, seed none against 7."""
    return {
        "metric": "agreement", "by": "seed", "a_value": None, "b_value": 7, "pooled": False,
        "stratum": {}, "n": 12, "difference": 0.0, "ci95": [-0.24, 0.24], "mde": None, "p": 1.0,
        "p_adjusted": 1.0, "family": 1, "wins": 0, "losses": 12, "ties": 0,
        "a_settings": ["a", "b", "c", "d"], **more,
    }  # fmt: skip


def _strata(hot: float, ends: list[float]) -> list[Row]:
    return [
        _row(stratum={"temperature": t, "top_p": p}, difference=hot if t else 0.0,
             ci95=ends if t else [-0.24, 0.24])
        for t in (0.0, 1.0) for p in (0.5, 1.0)
    ]  # fmt: skip


def test_a_mean_over_strata_that_disagree_names_them() -> None:
    """An effect at one temperature alone is not told as half an effect everywhere."""
    pooled = _row(pooled=True, difference=-0.5, ci95=None, p=0.001, p_adjusted=0.001)
    real, _ = split_differences([pooled, *_strata(-1.0, [-1.0, -0.75])])
    (told,) = [d.text for d in real]
    assert "0.0\u00a0pp (temperature 0), −100.0\u00a0pp (temperature 1)" in told
    assert "alike for every prompt" not in told
    pooled = _row(pooled=True, difference=-0.05, ci95=[-0.1, -0.01], p_adjusted=0.01)
    real, _ = split_differences([pooled, *_strata(-0.1, [-0.3, 0.1])])
    assert "not alike" not in real[0].text
