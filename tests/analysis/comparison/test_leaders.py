"""The best setting by each figure, and those that are not detectably worse."""

from __future__ import annotations

import pytest

from evalharness.analysis.comparison.leaders import leaders
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
        assert found["setting_id"] == "a"
        assert all(row["p"] == pytest.approx(2 / 64) for row in found["others"])
        assert (found["group"] == ["a"]) is alone
        assert all(row["difference"] == -0.75 and row["n"] == 8 for row in found["others"])
