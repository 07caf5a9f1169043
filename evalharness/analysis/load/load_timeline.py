"""A load point as it went: requests in flight, rates, errors and chunks over time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.load.load_point import Measured
from evalharness.store.folder.load_points_file import Measurement

FEWEST, MOST, REQUESTS_A_BIN = 12, 60, 5


def timeline(one: Measurement, found: Measured) -> dict[str, Any] | None:
    """The measurement in 12 to 60 bins of equal length, warm-up and drain included.

    Returns:
        ``bin_s``, the window ``begin_s`` and ``end_s``, and ``bins``: for each ``at_s`` (its
        beginning, from the anchor), ``due``, ``sent``, ``done`` and ``failed`` per second,
        ``chunks`` per second (measured requests only) and ``in_flight``, the time-weighted mean.
        None when nothing was sent.

    """
    sent = found.sent
    if not len(sent.at):
        return None
    last = float(max(sent.end.max(), one.end_s or 0.0))
    if last <= 0.0:
        return None
    count = min(MOST, max(FEWEST, len(sent.at) // REQUESTS_A_BIN))
    edges = np.linspace(0.0, last, count + 1)
    width = last / count
    good = ~sent.failed

    def rate(values: Floats) -> list[float]:
        return (np.histogram(values, edges)[0] / width).tolist()

    flight = [
        float(np.maximum(np.minimum(sent.end, b) - np.maximum(sent.at, a), 0.0).sum() / width)
        for a, b in pairwise(edges.tolist())
    ]
    columns = {
        "due": rate(sent.due[sent.first]),
        "sent": rate(sent.at),
        "done": rate(sent.end[good]),
        "failed": rate(sent.end[sent.failed]),
        "chunks": rate(_chunks(found)),
        "in_flight": flight,
    }
    bins = [
        {"at_s": float(edges[i]), **{name: values[i] for name, values in columns.items()}}
        for i in range(count)
    ]
    return {"bin_s": width, "begin_s": one.begin_s, "end_s": one.end_s, "bins": bins}


def _chunks(found: Measured) -> Floats:
    """When content chunks arrived, seconds from the anchor."""
    requests = found.requests
    at = [
        began + chunks
        for began, chunks in zip(requests.sent_s.tolist(), requests.chunks, strict=True)
        if len(chunks)
    ]
    return np.concatenate(at) if at else np.empty(0)
