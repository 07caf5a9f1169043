"""The rows of runs that go on, as the list shows them: counted on, not counted anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from msgspec import structs

from evalharness.listing.run_row import ListedRun
from evalharness.view.live.reader import LiveReader

_LOOK_EVERY_S = 1.0
_KEPT_S = 30.0  # after the last question
_RUNNING = "running"


class RunningRows:
    """What is new of each run is read at most once a second, however many lists show it."""

    def __init__(self) -> None:
        self._lock = Lock()  # of the mapping; each run has one of its own
        self._runs: dict[Path, _RunningRow] = {}

    def row(self, root: Path, read: Callable[[], ListedRun]) -> ListedRun:
        """The row of a run, which may have ended by now.

        Args:
            root: the run folder.
            read: reads the whole row, which for a run that goes on takes its whole journal.

        Raises:
            EvalharnessError: the folder cannot be read.
        """
        now = time.monotonic()
        with self._lock:
            for old in [path for path, run in self._runs.items() if run.asked_at < now - _KEPT_S]:
                del self._runs[old]
            run = self._runs.setdefault(root, _RunningRow(root))
            run.asked_at = now
        with run.lock:
            return run.look(read)


class _RunningRow:
    """One run."""

    def __init__(self, root: Path) -> None:
        self.lock = Lock()
        self.asked_at = 0.0
        self._reader = LiveReader(root, counts_only=True)
        self._row: ListedRun | None = None
        self._looked_at = 0.0

    def look(self, read: Callable[[], ListedRun]) -> ListedRun:
        row, now = self._row, time.monotonic()
        if row is not None and now - self._looked_at < _LOOK_EVERY_S:
            return row
        figures = self._reader.look()
        if row is None or row.status != _RUNNING or figures is None or figures.is_over:
            row = read()
        if figures is not None and not figures.is_over and row.status == _RUNNING:
            errors = figures.by_status.get("error", 0)
            row = structs.replace(row, records=figures.recorded, errors=errors)
        self._row, self._looked_at = row, now
        return row
