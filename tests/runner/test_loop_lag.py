"""The client's own lateness: measured, kept in little memory, and never smoothed away."""

from __future__ import annotations

import asyncio
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evalharness.runner.loop_lag import LatencyHistogram, probe_loop

SECONDS = st.floats(1e-4, 1e4)


@given(st.lists(SECONDS, min_size=1), st.floats(0.001, 1))
def test_a_quantile_is_at_most_a_tenth_above_the_true_one(values: list[float], q: float) -> None:
    """Buckets grow by a tenth, and their upper edge is told: never too small."""
    lateness = LatencyHistogram()
    for value in values:
        lateness.add(value)
    true = float(np.quantile(values, q, method="inverted_cdf"))
    found = lateness.quantile(q)
    assert found is not None
    assert true * (1 - 1e-9) <= found <= true * 1.1 * (1 + 1e-9)


def test_nothing_measured_is_unknown() -> None:
    """Without values there are nulls, not zeros."""
    assert LatencyHistogram().as_dict() == {"n": 0, "p50": None, "p99": None, "max": None}


async def test_a_blocked_loop_is_late_by_as_long_as_it_was_blocked() -> None:
    """One stall counts as all the wake-ups it swallowed."""
    lag = LatencyHistogram()
    probe = asyncio.create_task(probe_loop(lag))
    await asyncio.sleep(0)
    time.sleep(0.3)
    while not lag.as_dict()["n"]:
        await asyncio.sleep(0)
    probe.cancel()
    figures = lag.as_dict()
    assert figures["max"] >= 0.27
    assert figures["n"] >= 14
    assert figures["p50"] >= 0.1
