"""Latency by setting, in seconds.

Only delivered answers count (no errors), without the time in the client's own queue. Percentiles
interpolate linearly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame

ENOUGH_FOR_P99 = 100  # with fewer samples a 99th percentile depends on a single one


def describe_durations(values: Floats) -> dict[str, Any]:
    """Describe durations in seconds; NaN are unknown and left out.

    Returns:
        ``p50``, ``p95``, ``p99``, ``mean``, ``n``; null when nothing is known, and ``p99`` below
        100 samples. ``ci95``: ``[low, high]`` of ``p50`` and ``p95`` from order statistics (see
        :func:`.stats.percentile_ci`), an end null where there are too few samples to bound it;
        samples count as independent, which repeats sent at the same time are not quite.

    """
    known = values[~np.isnan(values)]
    if not len(known):
        return {"p50": None, "p95": None, "p99": None, "mean": None, "n": 0, "ci95": None}
    p50, p95, p99 = np.quantile(known, [0.5, 0.95, 0.99]).tolist()
    return {
        "p50": p50,
        "p95": p95,
        "p99": p99 if len(known) >= ENOUGH_FOR_P99 else None,
        "mean": float(known.mean()),
        "n": len(known),
        "ci95": {"p50": _ends(known, 50.0), "p95": _ends(known, 95.0)},
    }


def _ends(known: Floats, q: float) -> list[float | None] | None:
    ends = stats.percentile_ci(known, q)
    return None if ends is None else list(ends)


def latency(frame: RunFrame, column: str = "latency_s") -> list[dict[str, Any]]:
    """Describe ``latency_s`` or ``ttft_s`` of each setting."""
    values = frame.usable_values(column)
    return [describe_durations(values[frame.rows_of(s)]) for s in range(len(frame.setting_ids))]
