"""The time line of a load point: requests in flight, rates, errors and chunks over time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.load.load_point import LoadPointResult
from evalharness.store.folder.load_points_file import Measurement

MIN_BINS, MAX_BINS, REQUESTS_PER_BIN = 12, 60, 5


def load_timeline(measurement: Measurement, result: LoadPointResult) -> dict[str, Any] | None:
    """The measurement in 12 to 60 bins of equal length, warm-up and drain included.

    Returns:
        ``bin_s``, the window ``begin_s`` and ``end_s``, and ``bins``: for each ``at_s`` (its
        beginning, from the anchor), ``due``, ``sent``, ``done`` and ``failed`` per second,
        ``chunks`` per second (measured requests only) and ``in_flight``, the time-weighted mean.
        None when nothing was sent.

    """
    sent = result.sent
    if not len(sent.at):
        return None
    last = float(max(sent.end.max(), measurement.end_s or 0.0))
    if last <= 0.0:
        return None
    count = min(MAX_BINS, max(MIN_BINS, len(sent.at) // REQUESTS_PER_BIN))
    edges = np.linspace(0.0, last, count + 1)
    width = last / count
    good = ~sent.failed

    def rate(values: Floats) -> list[float]:
        return (np.histogram(values, edges)[0] / width).tolist()

    in_flight = [
        float(np.maximum(np.minimum(sent.end, b) - np.maximum(sent.at, a), 0.0).sum() / width)
        for a, b in pairwise(edges.tolist())
    ]
    columns = {
        "due": rate(sent.due[sent.first]),
        "sent": rate(sent.at),
        "done": rate(sent.end[good]),
        "failed": rate(sent.end[sent.failed]),
        "chunks": rate(_chunks(result)),
        "in_flight": in_flight,
    }
    bins = [
        {"at_s": float(edges[i]), **{name: values[i] for name, values in columns.items()}}
        for i in range(count)
    ]
    return {
        "bin_s": width,
        "begin_s": measurement.begin_s,
        "end_s": measurement.end_s,
        "bins": bins,
    }


def _chunks(result: LoadPointResult) -> Floats:
    """When content chunks arrived, seconds from the anchor."""
    requests = result.requests
    at = [
        sent_s + chunks
        for sent_s, chunks in zip(requests.sent_s.tolist(), requests.chunks, strict=True)
        if len(chunks)
    ]
    return np.concatenate(at) if at else np.empty(0)
