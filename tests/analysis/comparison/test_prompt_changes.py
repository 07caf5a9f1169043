"""Prompts of two runs: how they are matched, and that chance alone is rarely called a change."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact, ttest_ind

from evalharness.analysis import stats
from evalharness.analysis.comparison.matching import RUN, find_pairs
from evalharness.analysis.comparison.prompt_changes import prompt_changes
from evalharness.analysis.comparison.prompt_matching import match_prompts
from evalharness.analysis.data.join_runs import JoinedRuns
from tests.analysis.setting_frames import frame

IDS = st.sampled_from("abcdefgh")
PROMPTS = st.dictionaries(IDS, st.sampled_from(["1", "2", "3", None]))


@given(PROMPTS, PROMPTS)
def test_every_prompt_is_matched_once_or_is_new_or_gone(
    before: dict[str, str | None], after: dict[str, str | None]
) -> None:
    """The counts add up on both sides, and no prompt of the baseline is taken twice."""
    (match,) = match_prompts({"before": before, "after": after}, "before")
    assert match.common + len(match.new_prompts) == len(after)
    assert match.common + len(match.gone_prompts) == len(before)
    assert len(set(match.renamed.values())) == len(match.renamed) == match.by_content
    assert all(after[new] == before[old] is not None for new, old in match.renamed.items())
    assert not set(match.renamed.values()) & set(after)


def test_a_third_run_is_matched_with_the_first_through_its_content() -> None:
    """Whatever the order, ids end up as those of the baseline run."""
    runs = {"b": {"y": "1"}, "a": {"x": "1"}, "c": {"z": "1", "w": "2"}}
    first, second = match_prompts(runs, "a")
    assert (first.renamed, second.renamed) == ({"y": "x"}, {"z": "x"})
    assert second.new_prompts == ["w"]


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3), st.integers(0, 3))
def test_pass_changes_are_tested_as_fisher_does(a: int, b: int, more_a: int, more_b: int) -> None:
    """Against scipy's own test of the same table."""
    table = [[a, more_a], [b, more_b]]
    known = fisher_exact(table).pvalue if a + more_a and b + more_b else 1.0
    assert stats.pass_change_p(a, a + more_a, b, b + more_b) == pytest.approx(known)


def test_pass_changes_of_many_repeats_are_tested() -> None:
    """The ways to draw so many repeats are more than a float can hold."""
    known = fisher_exact([[300, 300], [360, 240]]).pvalue
    assert stats.pass_change_p(300, 600, 360, 600) == pytest.approx(known)


def test_mean_changes_are_tested_as_welch_does() -> None:
    """Against scipy's own test; without spread or repeats there is none."""
    one, other = [0.1, 0.4, 0.3], [0.9, 0.5, 0.8, 0.7]
    known = ttest_ind(other, one, equal_var=False).pvalue
    variances = 0.023333333333333334, 0.029166666666666667
    found = stats.mean_change_p(0.725 - 0.26666666666666666, variances, (3, 4))
    assert found == pytest.approx(known)
    assert stats.mean_change_p(0.5, (0.0, 0.0), (3, 3)) is None
    assert stats.mean_change_p(0.5, (0.1, 0.1), (1, 3)) is None


def test_chance_alone_is_called_a_change_in_few_runs() -> None:
    """The same prompts twice, each passing at its own rate: under 5 % of runs show one."""
    draw = random.Random(4)
    alarms = 0
    for _ in range(60):
        rates = [draw.random() for _ in range(40)]
        runs = {
            name: frame(
                {"s": {}},
                [{"setting_id": "s", "prompt_id": f"p{p}", "score": float(draw.random() < rate)}
                 for p, rate in enumerate(rates) for _ in range(10)],
            )
            for name in ("before", "after")
        }  # fmt: skip
        joined = JoinedRuns.of(runs)
        changes = prompt_changes(joined, find_pairs(joined.columns, RUN, "before"))
        assert changes
        alarms += any(change.beyond_chance for change in changes)
    assert alarms <= 3
