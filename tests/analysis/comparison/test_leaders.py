"""The best setting by each figure, and those that are not detectably worse."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.analysis import stats
from evalharness.analysis.comparison.leaders import (
    LeaderContrast,
    Leaders,
    LeaderSearch,
    is_settled,
)
from evalharness.analysis.data.frame import RunFrame
from tests.analysis.record_frames import frame_of


def leaders(frame: RunFrame) -> dict[str, Leaders | None]:
    """The leaders of a run, tested together with nothing else."""
    flips = stats.SignFlips(clusters=frame.clusters)
    search = LeaderSearch(frame, flips)
    joint = stats.joint_tests((), search.rankings())
    return search.leaders(flips.tests(), joint.contrasts)


def test_a_lead_must_survive_having_been_selected() -> None:
    """Six of eight prompts better is p = .03 against one setting, and nothing as the best of 13."""
    noise = np.random.default_rng(0).random((8, 11))
    for others in (0, 11):
        columns = {"a": np.ones(8), "b": np.array([0.0] * 6 + [1.0] * 2)}
        columns |= {f"n{j}": noise[:, j] for j in range(others)}
        rows = [
            {"prompt_id": f"q{i}", "setting_id": name, "text": "t", "score": float(values[i])}
            for name, values in columns.items()
            for i in range(8)
        ]
        found = leaders(frame_of(rows, targets={f"q{i}": '"t"' for i in range(8)}))["score"]
        assert found is not None
        assert found.setting_id == "a"
        contrast = next(row for row in found.others if row.setting_id == "b")
        assert (contrast.difference, contrast.n) == (-0.75, 8)
        assert contrast.p == pytest.approx(2 / 64)
        assert contrast.p_adjusted is not None
        assert (contrast.p_adjusted < 0.05) is (others == 0)
        assert ("b" in found.group) is (others > 0)


@pytest.mark.parametrize(("beaten", "settled"), [(0, False), (1, False), (2, True), (8, True)])
def test_a_lead_is_settled_where_a_quarter_of_the_others_is_beaten(
    beaten: int, settled: bool
) -> None:
    """One setting of nine that is worse does not make the other eight the best."""
    others = [
        LeaderContrast(
            setting_id=f"s{i}", value=0.5, difference=-0.1, ci95=None, n=8, p=0.1, p_adjusted=0.1
        )
        for i in range(8)
    ]
    group = ["best", *(other.setting_id for other in others[beaten:])]
    assert is_settled(Leaders(setting_id="best", value=1.0, group=group, others=others)) is settled


def test_the_same_scores_in_another_order_are_a_tie() -> None:
    """0.1, 0.2, 0.3 and 0.3, 0.1, 0.2 have one mean, over prompts and over repeats."""
    scores = {"a": (0.1, 0.2, 0.3), "b": (0.3, 0.1, 0.2)}
    for repeats in (False, True):
        rows = [
            {"prompt_id": "q" if repeats else f"q{i}", "setting_id": s, "text": "t", "score": score}
            for s, values in scores.items()
            for i, score in enumerate(values)
        ]
        found = leaders(frame_of(rows))["score"]
        assert found is not None
        (other,) = found.others
        assert found.value == other.value == pytest.approx(0.2)
        assert other.difference == 0.0
