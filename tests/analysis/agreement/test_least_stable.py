"""The prompts whose outputs agree least."""

from __future__ import annotations

from evalharness.analysis.agreement.least_stable import least_stable
from tests.analysis.record_frames import cell, frame_of


def test_least_stable():
    """Worst first, with counts, the two commonest texts and where they part; stable ones never."""
    rows = cell(["xay", "xay", "xbz", "q"], "p") + cell("ssss", "stable") + cell("abcd", "worst")
    rows += cell([None, None, "one"], "alone")
    worst, middle = least_stable(frame_of(rows))
    assert worst.prompt_id == "worst"
    assert worst.agreement == 0.0
    assert middle.prompt_id == "p"
    assert middle.counts == [2, 1, 1]
    assert (middle.distinct, middle.n) == (3, 4)
    assert [t.text for t in middle.top] == ["xay", "xbz"]
    assert [t.count for t in middle.top] == [2, 1]
    assert middle.first_difference_chars == 1
    assert len(least_stable(frame_of(rows), n=1)) == 1
