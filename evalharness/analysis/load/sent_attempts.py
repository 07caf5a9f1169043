"""The HTTP attempts of a measurement, and the requests in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from evalharness.analysis.data import encode
from evalharness.analysis.data.encode import Bools, Floats
from evalharness.records import Phase, Status
from evalharness.store.folder.load_points_file import Measurement

if TYPE_CHECKING:
    import pyarrow as pa


class SentAttempts(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The HTTP attempts of a measurement as arrays, warm-up included; seconds from the anchor.

    Attributes:
        at, end: when it was sent, and when its response was complete or it failed.
        due, admitted: when it was due, and when all limits admitted it.
        late: seconds from due to sent.
        measured: whether it belongs to the measured phase.
        background: whether it is traffic beside the measured ones.
        first: whether it is the first attempt of its trial.
        failed: whether it ended in an error.
    """

    at: Floats
    end: Floats
    due: Floats
    admitted: Floats
    late: Floats
    measured: Bools
    background: Bools
    first: Bools
    failed: Bools

    @classmethod
    def of(cls, attempts: pa.Table, anchor_ns: int) -> SentAttempts:
        """Encode the attempts that were sent, in the order of sending."""
        anchor = anchor_ns / 1e9
        column = {
            name: encode.to_floats(attempts[name])
            for name in ("sent_at", "latency_s", "scheduled_at", "admitted_at", "queue_s",
                         "attempt")
        }  # fmt: skip
        rows = np.flatnonzero(~np.isnan(column["sent_at"]))
        rows = rows[np.argsort(column["sent_at"][rows], kind="stable")]
        column = {name: values[rows] for name, values in column.items()}
        phase = np.array(attempts["phase"].to_pylist(), dtype=object)[rows]
        status = np.array(attempts["status"].to_pylist(), dtype=object)[rows]
        at = column["sent_at"] - anchor
        return cls(
            at=at,
            # An attempt in doubt has no end: its time in flight is unknown and counts as 0.
            end=at + np.nan_to_num(column["latency_s"]),
            due=column["scheduled_at"] - anchor,
            admitted=column["admitted_at"] - anchor,
            late=column["queue_s"],
            measured=phase == Phase.MEASURED.value,
            background=phase == Phase.BACKGROUND.value,
            first=column["attempt"] == 1,
            failed=status == Status.ERROR.value,
        )


def mean_in_flight(
    sent: SentAttempts, measurement: Measurement, window: float | None
) -> float | None:
    """Time-weighted mean of the requests in flight over the window."""
    if window is None or measurement.begin_s is None or measurement.end_s is None:
        return None
    overlap = np.minimum(sent.end, measurement.end_s) - np.maximum(sent.at, measurement.begin_s)
    return float(np.maximum(overlap, 0.0).sum() / window)


def max_in_flight(sent: SentAttempts) -> int:
    """Most requests in flight at any moment, warm-up included."""
    if not len(sent.at):
        return 0
    moments = np.concatenate([sent.at, sent.end])
    steps = np.concatenate([np.ones(len(sent.at)), -np.ones(len(sent.end))])
    # A request that ends when another begins is counted out first.
    return int(np.cumsum(steps[np.lexsort((steps, moments))]).max())
