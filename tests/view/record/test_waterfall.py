"""Attempts on one scale of time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from evalharness.view.record.waterfall import Segment, Times, drawings, segments

SECONDS = st.none() | st.floats(0, 1e5)
TIMES = st.builds(
    Times,
    sent_at_ns=st.none() | st.integers(1, 2**62),
    queue_s=SECONDS,
    first_token_s=SECONDS,
    latency_s=SECONDS,
    backoff_s=SECONDS,
)


def test_pieces_follow_each_other() -> None:
    """Queue, wait, body, pause; without a first token it is one piece from sent to end."""
    first = Times(10**9, 0.5, None, 0.25, 2.0)
    second = Times(5 * 10**9, 1.0, 0.5, 2.0, None)
    assert segments([first, second]) == [
        [Segment("queue", 0.0, 0.5), Segment("whole", 0.5, 0.25), Segment("backoff", 0.75, 2.0)],
        [Segment("queue", 3.5, 1.0), Segment("wait", 4.5, 0.5), Segment("body", 5.0, 1.5)],
    ]


def test_what_is_unknown_has_no_drawing() -> None:
    assert drawings([Times(None, None, None, None, None)]) == [None]
    assert drawings([Times(1, None, None, None, None)]) == [None]


@given(st.lists(TIMES, max_size=5))
def test_nothing_is_before_the_beginning(attempts: list[Times]) -> None:
    """Whatever was recorded, pieces are in order, and every drawing is whole."""
    for row in segments(attempts):
        for before, after in pairwise(row):
            assert after.start_s >= before.start_s >= 0
    for drawing in drawings(attempts):
        assert drawing is None or "nan" not in drawing
