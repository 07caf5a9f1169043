"""The most that fell into any window of time."""

from __future__ import annotations

from bisect import bisect_right


def most_in_window(
    times: list[float], window_s: float, weights: list[float] | None = None
) -> float:
    """The largest sum over any closed window, which is one that starts at an event."""
    weights = weights or [1.0] * len(times)
    sums = [0.0]
    for weight in weights:
        sums.append(sums[-1] + weight)
    return max(
        (sums[bisect_right(times, t + window_s)] - sums[i] for i, t in enumerate(times)),
        default=0.0,
    )
