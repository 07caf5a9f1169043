"""Mean and percentiles of a figure of single requests; intervals count what is independent.

Requests of one prompt resemble each other, and so do requests that a server works on at the same
time. Which of the two leaves fewer independent values is measured, and decides.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.latency import ENOUGH_FOR_P99

_PERCENTILES = (50, 90, 95, 99)
#: Into how many stretches of time, with equally many requests, a measurement is cut.
STRETCHES = 20

Unit = Literal["prompt", "time"]


class MetricSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of a figure of single requests, in the unit of the figure.

    Attributes:
        n: requests (or gaps between chunks) with a known value.
        mean: their mean; null without any.
        p50, p90, p95, p99: percentiles, interpolated linearly; null without any value, and ``p99``
            below 100.
        max: the largest value; null without any.
        ci95: the 95 % interval by percentile, ``[low, high]``: of order statistics (Conover), for
            as many values as are independent. An end is null where they cannot bound it; a
            percentile that is null has no interval.
        unit: what is taken as independent: ``prompt`` (or its cluster), or ``time`` for 20
            stretches of the measurement with equally many requests; whichever leaves fewer
            independent values. Null without any value.
    """

    n: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    ci95: dict[str, list[float | None] | None] = {}
    unit: Unit | None = None


class TimesByOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """The same times counted from two instants; seconds.

    Attributes:
        sent: from sending; leaves out how long a request waited in the client (coordinated
            omission).
        scheduled: from the scheduled time, which is what a user experiences.
    """

    sent: MetricSummary
    scheduled: MetricSummary


class DependentGroups(NamedTuple):
    """The groups within which requests may resemble each other, one number a request.

    Attributes:
        time: the stretch of time in which it was sent.
        prompt: its prompt, or the cluster of it; None where that does not matter.
    """

    time: Ints
    prompt: Ints | None

    @classmethod
    def of(cls, sent_s: Floats, prompt: Ints | None) -> DependentGroups:
        """Cut the time at which requests were sent into stretches."""
        n = len(sent_s)
        stretch = np.empty(n, np.int64)
        stretch[np.argsort(sent_s, kind="stable")] = np.arange(n) * STRETCHES // max(1, n)
        return cls(stretch, prompt)

    def take(self, rows: Ints) -> DependentGroups:
        """The groups of some requests."""
        return DependentGroups(self.time[rows], None if self.prompt is None else self.prompt[rows])


def summarize(values: Floats, groups: DependentGroups) -> MetricSummary:
    """Mean and percentiles of the known values, with 95 % intervals."""
    is_known = ~np.isnan(values)
    known = values[is_known]
    n = len(known)
    if not n:
        return MetricSummary(n=0)
    shown = [q for q in _PERCENTILES if q != 99 or n >= ENOUGH_FOR_P99]
    shares = [q / 100 for q in shown]
    by_unit: dict[Unit, list[stats.Quantile]] = {}
    groupings: list[tuple[Unit, Ints | None]] = [("prompt", groups.prompt), ("time", groups.time)]
    for unit, codes in groupings:
        if codes is not None:
            some = codes[is_known]
            by_unit[unit] = stats.quantiles(known, some, int(some.max()) + 1, shares)
    percentiles: dict[str, float] = {}
    intervals: dict[str, list[float | None] | None] = {}
    for index, q in enumerate(shown):
        figure = min((rows[index] for rows in by_unit.values()), key=lambda f: f.effective_n)
        percentiles[f"p{q}"] = figure.value
        intervals[f"p{q}"] = [figure.low, figure.high]
    unit = min(by_unit, key=lambda name: by_unit[name][0].effective_n)
    return MetricSummary(
        n=n,
        mean=float(known.mean()),
        max=float(known.max()),
        ci95=intervals,
        unit=unit,
        **percentiles,
    )
