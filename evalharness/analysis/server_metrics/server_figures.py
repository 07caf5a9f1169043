"""Figures of servers over stretches of time: gauges by their readings, counters by their growth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.server_metrics.known_metrics import KNOWN, KnownMetric


class Stretch(NamedTuple):
    """A time that is looked at: a load point, or the whole run (seconds since the epoch)."""

    label: str
    begin_s: float
    end_s: float


class ServerFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one endpoint during one stretch. Null where there is no reading.

    Readings follow each other, so that they are no independent sample: there is no interval.

    Attributes:
        endpoint: its name in ``server_metrics.urls``.
        stretch: the load point, or ``run``.
        figure: such as ``running``, ``waiting``, ``kv_cache``.
        metric: the server's name for it.
        unit: of ``mean`` and ``largest``.
        readings: how many lie in the stretch.
        gaps: readings that got no answer there.
        mean: of a gauge the mean of its readings; of a counter its growth per second between the
            first and the last reading, restarts left out.
        largest: of a gauge; null of a counter.
        p95: 95th percentile of a gauge's readings, from 20 of them on.
        growth: of a counter; null of a gauge.
    """

    endpoint: str
    stretch: str
    figure: str
    metric: str
    unit: str
    readings: int
    gaps: int
    mean: float | None
    largest: float | None
    p95: float | None
    growth: float | None


class Samples(NamedTuple):
    """Readings of servers, one entry a sample; see ``server_metrics`` in ``docs/schema.md``.

    Attributes:
        at_s: when it was read (seconds since the epoch).
        endpoint, metric: names; the metric is empty where there was no answer.
        value: NaN where there was none.
    """

    at_s: Floats
    endpoint: list[str]
    metric: list[str]
    value: Floats


def server_figures(samples: Samples, stretches: Sequence[Stretch]) -> list[ServerFigure]:
    """Describe each endpoint during each stretch, in the order of the known figures."""
    endpoints, metrics = np.array(samples.endpoint), np.array(samples.metric)
    figures: list[ServerFigure] = []
    for endpoint in dict.fromkeys(samples.endpoint):
        own = endpoints == endpoint
        gaps = samples.at_s[own & (metrics == "")]
        present = set(np.unique(metrics[own]).tolist())
        for name, known in KNOWN.items():
            metric = next((m for m in known.names if m in present), None)
            if metric is None:
                continue
            rows = np.flatnonzero(own & (metrics == metric))
            at_s, values = _over_labels(samples, rows, known)
            for stretch in stretches:
                inside = (at_s >= stretch.begin_s) & (at_s <= stretch.end_s)
                lost = int(((gaps >= stretch.begin_s) & (gaps <= stretch.end_s)).sum())
                fixed = _Fixed(endpoint, stretch.label, name, metric, known.unit, lost)
                figures.append(_figure(fixed, known, at_s[inside], values[inside]))
    return figures


class _Fixed(NamedTuple):
    endpoint: str
    stretch: str
    figure: str
    metric: str
    unit: str
    gaps: int


def _over_labels(samples: Samples, rows: Ints, known: KnownMetric) -> tuple[Floats, Floats]:
    """One value a reading, over models and GPUs."""
    at_s, group = np.unique(samples.at_s[rows], return_inverse=True)
    sums = np.bincount(group, samples.value[rows]).astype(np.float64)
    counts = np.bincount(group) if known.over_labels == "mean" else np.ones(len(at_s))
    return at_s, sums / counts


def _figure(fixed: _Fixed, known: KnownMetric, at_s: Floats, values: Floats) -> ServerFigure:
    mean = largest = p95 = growth = None
    if known.is_counter:
        if len(values) >= 2 and at_s[-1] > at_s[0]:
            steps = np.diff(values)
            # After a restart a counter begins at 0: what it shows then is its growth since.
            growth = float(np.where(steps >= 0, steps, values[1:]).sum())
            mean = growth / float(at_s[-1] - at_s[0])
    elif len(values):
        mean, largest = float(values.mean()), float(values.max())
        p95 = float(np.quantile(values, 0.95)) if len(values) >= 20 else None
    return ServerFigure(
        **fixed._asdict(), readings=len(values), mean=mean, largest=largest, p95=p95, growth=growth
    )
