"""Latency by setting, in seconds.

Only delivered answers count (no errors), without the time in the client's own queue. Percentiles
interpolate linearly. What is independent is the prompt (or its cluster), not its repeats.
"""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame

ENOUGH_FOR_P99 = 100  # with fewer samples a 99th percentile depends on a single one
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class PercentileIntervals(msgspec.Struct, frozen=True, kw_only=True):
    """95 % intervals of percentiles (see :mod:`.stats.quantile_intervals`).

    The unit is the prompt, or its cluster: repeats count as independent only as far as they differ
    as much as prompts do.

    Attributes:
        p50, p95, p99: ``[low, high]`` in seconds; an end is null where too few independent samples
            bound it: a p95 takes 72 for both ends, a p99 368. ``p99`` is null where the
            percentile is.
    """

    p50: list[float | None] | None
    p95: list[float | None] | None
    p99: list[float | None] | None = None


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


def describe_durations(values: Floats, units: Ints) -> Durations:
    """Describe durations.

    Args:
        values: in seconds; NaN are unknown and left out.
        units: the number of the prompt (or cluster) of each, from 0.
    """
    is_known = ~np.isnan(values)
    known = values[is_known]
    if not len(known):
        return _NO_DURATIONS
    shown = {k: q for k, q in SHARES.items() if k != "p99" or len(known) >= ENOUGH_FOR_P99}
    codes = units[is_known]
    figures = dict(
        zip(
            shown,
            stats.quantiles(known, codes, int(codes.max()) + 1, list(shown.values())),
            strict=True,
        )
    )
    p99 = figures.get("p99")
    return Durations(
        p50=figures["p50"].value,
        p95=figures["p95"].value,
        p99=None if p99 is None else p99.value,
        mean=float(known.mean()),
        n=len(known),
        ci95=PercentileIntervals(**{k: [f.low, f.high] for k, f in figures.items()}),
    )


def latency(frame: RunFrame, column: str = "latency_s") -> list[Durations]:
    """Describe ``latency_s`` or ``ttft_s`` of each setting."""
    values, units = frame.usable_values(column), frame.unit_of_prompt
    rows = [frame.rows_of(s) for s in range(len(frame.setting_ids))]
    return [describe_durations(values[part], units[frame.prompt[part]]) for part in rows]
