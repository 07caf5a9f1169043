"""Messages between the driver and workers that measure load points together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evalharness.distributed.benchmark.clock_offset import ClockOffset
from evalharness.runner.benchmark.point import LoadPointTask
from evalharness.runner.benchmark.point_plan import LoadShare
from evalharness.runner.run_summary import StopReason
from evalharness.store.folder.load_points_file import Measurement, MeasurementState, WorkerClock


class ShareOfPoint(NamedTuple):
    """What one worker is to send of a load point."""

    point: LoadPointTask
    share: LoadShare
    measurement: Measurement


class ScheduleStart(NamedTuple):
    """When a schedule begins: on the worker's monotonic clock, and on the driver's wall clock."""

    monotonic_s: float
    wall_ns: int


class ShareResult(NamedTuple):
    """What one worker measured.

    Attributes:
        measurement: of its share.
        recorded: trials it recorded.
        by_status: of them.
        stop: why the run must stop; None goes on.
    """

    measurement: Measurement
    recorded: int
    by_status: Mapping[str, int]
    stop: StopReason | None


def merge_shares(measurement: Measurement, shares: Sequence[Measurement]) -> None:
    """Complete a measurement from the shares of its workers, which count from one anchor.

    The window reaches from the first begin to the last end. Of an open loop every worker knows the
    whole schedule; of a closed one each has counted its own requests.
    """
    begins = [share.begin_s for share in shares if share.begin_s is not None]
    ends = [share.end_s for share in shares if share.end_s is not None]
    counts = [share.scheduled for share in shares]
    measurement.begin_s, measurement.end_s = min(begins, default=None), max(ends, default=None)
    is_closed = measurement.load.get("arrival") == "closed"
    measurement.scheduled = sum(counts) if is_closed else max(counts, default=0)
    lags = [share.lag_s for share in shares if share.lag_s]
    if lags:
        measurement.lag_s = max(lags, key=lambda lag: lag.get("p99") or 0.0)
    for state in (MeasurementState.COMPLETE, MeasurementState.CUT, MeasurementState.INTERRUPTED):
        of_state = [share for share in shares if share.state is state]
        if of_state:  # the worst of all
            measurement.state = state
            measurement.reason = next((s.reason for s in of_state if s.reason), None)


def worker_clock(worker: str, before: ClockOffset, after: ClockOffset | None) -> WorkerClock:
    """A worker's clock as ``load.json`` keeps it; the larger of both errors counts."""
    return WorkerClock(
        worker=worker,
        offset_s=before.wall_s,
        error_s=max(before.error_s, 0.0 if after is None else after.error_s),
        drift_s=None if after is None else after.wall_s - before.wall_s,
    )
