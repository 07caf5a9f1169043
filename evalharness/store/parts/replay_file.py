"""``replay.json``: what a replay sends again, a trace or a run, and what was left out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from evalharness.errors import StorageError
from evalharness.store.folder.durable_files import write_bytes_durably

FILE_NAME = "replay.json"


class ReplaySource(msgspec.Struct, frozen=True, kw_only=True):
    """Where a replay's requests and times come from.

    Attributes:
        kind: a recorded trace, or a run of this harness.
        name: of the file or the run, as it was typed.
        measurement: of the run, the load point whose requests they are; null of a trace and of a
            run without load points.
        requests: that are sent, before ``load.requests`` or ``load.duration_s`` end it.
        read: requests of the trace that were looked at, in its window; of a run those it sent.
        truncated: with a shorter prompt than in the trace, so that they fit into the context.
        lengthened: with a longer prompt, as the server's chat template alone is longer.
        skipped_long, skipped_short: requests of the window that are not sent, for these reasons.
        first_s, last_s: when the first and the last were due, seconds from the first request of the
            file or of the run, at speed 1.
        continues: whether the trace goes on behind the last.
    """

    kind: Literal["trace", "run"]
    name: str
    measurement: int | None = None
    requests: int
    read: int
    truncated: int = 0
    lengthened: int = 0
    skipped_long: int = 0
    skipped_short: int = 0
    first_s: float
    last_s: float
    continues: bool = False

    @property
    def span_s(self) -> float:
        """Seconds from the first to the last, at speed 1."""
        return self.last_s - self.first_s


def read_replay(root: Path) -> ReplaySource | None:
    """What a run replays; None where it replays nothing.

    Raises:
        StorageError: the file is damaged.
    """
    path = root / FILE_NAME
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=ReplaySource)
    except (OSError, msgspec.MsgspecError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error


def write_replay(root: Path, source: ReplaySource | None) -> None:
    """Store what the newest plan replays; None: nothing.

    Raises:
        StorageError: the disk refused.
    """
    path = root / FILE_NAME
    if source is not None:
        text = msgspec.json.format(msgspec.json.encode(source), indent=1)
        write_bytes_durably(path, text + b"\n")
    elif path.exists():
        try:
            path.unlink()
        except OSError as error:
            raise StorageError(f"{path} cannot be removed: {error}") from error
