"""The time line of a load point: requests in flight, rates, errors and chunks over time."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.load.load_point import LoadPointResult
from evalharness.store.folder.load_points_file import Measurement

MIN_BINS, MAX_BINS, REQUESTS_PER_BIN = 12, 60, 5


class LoadTimelineBin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of the time line of a load point.

    Attributes:
        at_s: its beginning, seconds from the schedule's zero.
        due: first attempts that were due, per second.
        sent: attempts sent, per second.
        done: attempts answered, per second.
        failed: attempts that failed, per second.
        chunks: content chunks of measured requests, per second.
        in_flight: time-weighted mean of the requests in flight.
    """

    at_s: float
    due: float
    sent: float
    done: float
    failed: float
    chunks: float
    in_flight: float


class LoadTimeline(msgspec.Struct, frozen=True, kw_only=True):
    """A load point over time, warm-up and drain included.

    Attributes:
        bin_s: seconds of a bin.
        begin_s, end_s: the window in which the load was held, seconds from the schedule's zero;
            null where it never was.
        bins: 12 to 60 bins of equal length.
    """

    bin_s: float
    begin_s: float | None
    end_s: float | None
    bins: list[LoadTimelineBin]


def load_timeline(measurement: Measurement, result: LoadPointResult) -> LoadTimeline | None:
    """The measurement in bins; None when nothing was sent."""
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
    due, sent_rate, done = rate(sent.due[sent.first]), rate(sent.at), rate(sent.end[good])
    failed, chunks = rate(sent.end[sent.failed]), rate(_chunks(result))
    bins = [
        LoadTimelineBin(
            at_s=float(edges[i]), due=due[i], sent=sent_rate[i], done=done[i], failed=failed[i],
            chunks=chunks[i], in_flight=in_flight[i],
        )
        for i in range(count)
    ]  # fmt: skip
    return LoadTimeline(
        bin_s=width, begin_s=measurement.begin_s, end_s=measurement.end_s, bins=bins
    )


def _chunks(result: LoadPointResult) -> Floats:
    """When content chunks arrived, seconds from the anchor."""
    requests = result.requests
    at = [
        sent_s + chunks
        for sent_s, chunks in zip(requests.sent_s.tolist(), requests.chunks, strict=True)
        if len(chunks)
    ]
    return np.concatenate(at) if at else np.empty(0)
