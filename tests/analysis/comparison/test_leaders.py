"""The best setting by each figure, and those that are not detectably worse."""

from __future__ import annotations

import pytest

from evalharness.analysis.comparison.leaders import LeaderContrast, Leaders, is_settled, leaders
from tests.analysis.record_frames import frame_of


def test_a_lead_must_survive_the_number_of_comparisons() -> None:
    """Six of eight prompts better is p = .03 against one setting, and nothing against three."""
    for others, alone in (("b", True), ("bcd", False)):
        names = ["a", *others]
        rows = [
            {"prompt_id": f"q{i}", "setting_id": s, "text": "t", "score": float(s == "a" or i > 5)}
            for s in names
            for i in range(8)
        ]
        found = leaders(frame_of(rows, targets={f"q{i}": '"t"' for i in range(8)}))["score"]
        assert found is not None
        assert found.setting_id == "a"
        assert all(row.p == pytest.approx(2 / 64) for row in found.others)
        assert (found.group == ["a"]) is alone
        assert all(row.difference == -0.75 and row.n == 8 for row in found.others)


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
