"""The stretches of time of which the log is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from evalharness.reconcile import time_spans

_START = datetime(2026, 1, 1, tzinfo=UTC)


def test_spans_leave_room_and_skip_long_pauses() -> None:
    """Requests months apart are looked for in two spans, none longer than 92 days."""
    day = 86_400 * 10**9
    first = int(_START.timestamp() * 1e9)
    found = time_spans([first, first + day // 2, first + 200 * day])
    assert len(found) == 2
    assert found[0][0] < _START
    assert found[0][1] > _START + timedelta(hours=12)
    dense = time_spans([first + n * day // 2 for n in range(400)])
    assert all(end - start <= timedelta(days=92) for start, end in dense)
    assert time_spans([]) == []
