"""Which time spans of a log to read: those in which a run sent its requests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

# Clocks differ, and a request is logged when it is done.
_BEFORE, _AFTER = timedelta(minutes=5), timedelta(hours=1)
_GAP = timedelta(days=1)  # a pause this long between requests is left out
_LONGEST = timedelta(days=90)  # the API takes 92


def time_spans(moments_ns: Sequence[int]) -> list[tuple[datetime, datetime]]:
    """Time spans around these moments, with a margin, oldest first.

    Long pauses are left out, and no span is longer than the API accepts.

    Args:
        moments_ns: when requests were admitted, nanoseconds since the epoch.
    """
    spans: list[tuple[datetime, datetime]] = []
    for moment in sorted(datetime.fromtimestamp(ns / 1e9, UTC) for ns in moments_ns):
        start, end = moment - _BEFORE, moment + _AFTER
        if spans and moment - spans[-1][1] < _GAP and end - spans[-1][0] <= _LONGEST:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans


def admission_times(attempts: Any) -> list[int]:
    """When attempts were admitted, from the attempts table."""
    import pyarrow as pa

    instants: list[int] = attempts["admitted_at"].cast(pa.int64()).to_pylist()
    return instants
