"""``load.json``: every measurement of a load point, with its load and its state."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from evalharness.errors import StorageError
from evalharness.store.folder.durable_files import write_bytes_durably

FILE_NAME = "load.json"


class MeasurementState(StrEnum):
    """How a measurement ended, if it has."""

    RUNNING = "running"  # also of a process that was killed
    COMPLETE = "complete"
    CUT = "cut"  # ended early by a stop condition of the load: error share, falling behind
    INTERRUPTED = "interrupted"  # the run was stopped; a later run measures the point again


class WorkerClock(msgspec.Struct, kw_only=True):
    """How the clock of one of several workers stood to the clock of the command.

    Attributes:
        worker: its name.
        offset_s: seconds its wall clock was ahead before the measurement; every instant that it
            recorded has them taken off.
        error_s: how far that may be wrong: half of the shortest round trip between the two.
        drift_s: how much the offset grew until the end; None unknown.
    """

    worker: str
    offset_s: float
    error_s: float
    drift_s: float | None = None


class Measurement(msgspec.Struct, kw_only=True):
    """One measurement of one load point; records carry its ``number``.

    Attributes:
        number: from 1, unique in the run folder; higher is later.
        settings: ids of the settings that shared the load.
        load: the configured load, with the rate that applied.
        searched: whether it is a step of a search.
        state: how it ended.
        reason: the stop condition that ended it early, if one did.
        anchor_ns: wall clock (ns since the epoch) of the schedule's zero; None before it began.
        begin_s, end_s: the measured window, seconds from the anchor: from the first measured
            request being due (closed loop: taken up) until no more are.
        scheduled: requests that were due in the window, later turns of conversations included.
        sessions: conversations, and requests that are no turns, that arrived in the window; None
            without conversations.
        arrivals_end_s: from when on none arrived, seconds from the anchor; the window goes on until
            the last conversation has ended. None without conversations.
        lag_s: percentiles of how late the event loop ran (n, p50, p99, max; see runner.lateness);
            of several workers the latest.
        clocks: of the workers that measured it; empty where one process did.
    """

    number: int
    settings: list[str]
    load: dict[str, Any]
    searched: bool = False
    state: MeasurementState = MeasurementState.RUNNING
    reason: str | None = None
    anchor_ns: int | None = None
    begin_s: float | None = None
    end_s: float | None = None
    scheduled: int = 0
    sessions: int | None = None
    arrivals_end_s: float | None = None
    lag_s: dict[str, float | None] = {}
    clocks: list[WorkerClock] = []

    @property
    def is_finished(self) -> bool:
        """Whether it ended by itself and need not be repeated."""
        return self.state in (MeasurementState.COMPLETE, MeasurementState.CUT)


def read_measurements(root: Path) -> list[Measurement]:
    """All measurements of a run folder, oldest first; empty for a run without a load.

    Raises:
        StorageError: the file is damaged.
    """
    path = root / FILE_NAME
    if not path.exists():
        return []
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Measurement])
    except (OSError, msgspec.MsgspecError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error


def write_measurements(root: Path, measurements: list[Measurement]) -> None:
    """Replace the list.

    Raises:
        StorageError: the disk refused.
    """
    text = msgspec.json.format(msgspec.json.encode(measurements), indent=1)
    write_bytes_durably(root / FILE_NAME, text + b"\n")


def current_measurements(measurements: list[Measurement]) -> list[Measurement]:
    """The measurements that count, oldest first: finished, and not repeated since.

    When one setting is measured again under the same load, the earlier measurement is replaced,
    also for the settings that shared it. Each step of a search is a load of its own, by its rate.
    """
    seen: set[tuple[str, bytes]] = set()
    current: list[Measurement] = []
    for measurement in reversed([m for m in measurements if m.is_finished]):
        load = msgspec.json.encode(measurement.load, order="deterministic")
        keys = {(setting, load) for setting in measurement.settings}
        if not keys & seen:
            current.append(measurement)
        seen |= keys
    return current[::-1]
