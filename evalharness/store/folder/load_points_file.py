"""``load.json``: what every measurement of a load point was asked to do, and what it came to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from evalharness.errors import StorageError
from evalharness.store.folder.durable_files import publish_bytes

FILE = "load.json"


class State(StrEnum):
    """How far a measurement came."""

    RUNNING = "running"  # or killed: nobody wrote what became of it
    COMPLETE = "complete"
    CUT = "cut"  # a stop condition of the load ended it early: error share, falling behind
    INTERRUPTED = "interrupted"  # the run was stopped; a later run measures the point anew


class Measurement(msgspec.Struct, kw_only=True):
    """One measurement of one load point; records carry its ``number``.

    Attributes:
        number: from 1, unique in the run folder; higher is later.
        settings: ids of the settings that shared the load.
        load: the load as asked for, with the rate in force.
        searched: it is a step of a search.
        state: how far it came.
        reason: why it ended as it did, where a condition cut it.
        anchor_ns: wall clock (ns since the epoch) of the schedule's zero; None before it began.
        begin_s, end_s: the measured window, seconds from the anchor: from the first measured
            request being due (closed loop: taken up) until no more are.
        scheduled: requests that were due in the window.
        lag_s: percentiles of how late the event loop ran (n, p50, p99, max; see runner.lateness).
    """

    number: int
    settings: list[str]
    load: dict[str, Any]
    searched: bool = False
    state: State = State.RUNNING
    reason: str | None = None
    anchor_ns: int | None = None
    begin_s: float | None = None
    end_s: float | None = None
    scheduled: int = 0
    lag_s: dict[str, float | None] = {}

    @property
    def finished(self) -> bool:
        """Whether it need not be done again."""
        return self.state in (State.COMPLETE, State.CUT)


def read_measurements(root: Path) -> list[Measurement]:
    """Every measurement of a run folder, oldest first; none where it never had a load.

    Raises:
        StorageError: the file is damaged.
    """
    path = root / FILE
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
    publish_bytes(root / FILE, text + b"\n")


def current(measurements: list[Measurement]) -> list[Measurement]:
    """The measurements that count, oldest first: finished, and not made anew since.

    A setting measured again under the same load replaces what it was measured together with.
    Steps of a search are loads of their own, by their rate.
    """
    seen: set[tuple[str, bytes]] = set()
    kept: list[Measurement] = []
    for one in reversed([m for m in measurements if m.finished]):
        load = msgspec.json.encode(one.load, order="deterministic")
        mine = {(setting, load) for setting in one.settings}
        if not mine & seen:
            kept.append(one)
        seen |= mine
    return kept[::-1]
