"""Pairs of repeats of a cell: all of them, or a sample of bounded size."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.data.repeat_pairs import pairs_of_repeats
from tests.analysis.record_frames import cell, frame_of


@given(st.lists(st.integers(0, 7), min_size=1, max_size=5), st.integers(1, 30))
def test_pairs_of_repeats(sizes, limit):
    """Without a limit every pair of one cell occurs once; with one, only some, and it says."""
    rows = [r for i, n in enumerate(sizes) for r in cell("a" * n, f"p{i}")]
    if not rows:
        return
    frame = frame_of(rows)
    pairs = pairs_of_repeats(frame)
    found = set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))
    every = {
        (i, j)
        for i, j in itertools.combinations(range(len(rows)), 2)
        if frame.cell[i] == frame.cell[j]
    }
    assert found == every
    assert pairs.complete
    assert len(pairs.left) == len(every)
    some = pairs_of_repeats(frame, limit)
    chosen = set(zip(some.left.tolist(), some.right.tolist(), strict=True))
    assert chosen <= every
    assert some.complete == (chosen == every)
    assert chosen or not every
