"""Latency by setting, in seconds.

Only delivered answers count (no errors), without the time in the client's own queue. Percentiles
interpolate linearly.
"""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame

ENOUGH_FOR_P99 = 100  # with fewer samples a 99th percentile depends on a single one


class PercentileIntervals(msgspec.Struct, frozen=True, kw_only=True):
    """95 % intervals of percentiles, from order statistics (see :func:`.stats.percentile_ci`).

    Samples count as independent, which repeats sent at the same time are not quite.

    Attributes:
        p50, p95: ``[low, high]`` in seconds; an end is null where there are too few samples to
            bound it.
    """

    p50: list[float | None] | None
    p95: list[float | None] | None


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """Durations of a setting in seconds; those unknown are left out.

    Attributes:
        p50, p95: percentiles in seconds, linear between neighbours; null when nothing is known.
        p99: likewise; also null below 100 samples.
        mean: in seconds; null when nothing is known.
        n: known durations.
        ci95: intervals of the percentiles; null when nothing is known.
    """

    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None
    n: int
    ci95: PercentileIntervals | None


_NO_DURATIONS = Durations(p50=None, p95=None, p99=None, mean=None, n=0, ci95=None)


def describe_durations(values: Floats) -> Durations:
    """Describe durations in seconds; NaN are unknown and left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return _NO_DURATIONS
    p50, p95, p99 = np.quantile(known, [0.5, 0.95, 0.99]).tolist()
    return Durations(
        p50=p50,
        p95=p95,
        p99=p99 if len(known) >= ENOUGH_FOR_P99 else None,
        mean=float(known.mean()),
        n=len(known),
        ci95=PercentileIntervals(p50=_ends(known, 50.0), p95=_ends(known, 95.0)),
    )


def _ends(known: Floats, q: float) -> list[float | None] | None:
    ends = stats.percentile_ci(known, q)
    return None if ends is None else list(ends)


def latency(frame: RunFrame, column: str = "latency_s") -> list[Durations]:
    """Describe ``latency_s`` or ``ttft_s`` of each setting."""
    values = frame.usable_values(column)
    return [describe_durations(values[frame.rows_of(s)]) for s in range(len(frame.setting_ids))]
