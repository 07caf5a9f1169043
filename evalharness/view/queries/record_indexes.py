"""The indexes of the runs whose records were looked at last."""

from __future__ import annotations

import contextlib
import time
import weakref
from collections import OrderedDict
from collections.abc import Generator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from evalharness.store.folder.run import Run
from evalharness.view.queries.connection import connect
from evalharness.view.queries.own_folder import OwnFolder, make_own_folder
from evalharness.view.queries.record_index import RecordIndex

if TYPE_CHECKING:
    import duckdb

_INDEXES = 8
_FRESH_S = 1.0  # a run that is being recorded is looked at again after so long


class RecordIndexes:
    """Makes an index when the records of a run are first looked at.

    All are in one database, in a temporary folder that goes when the process ends; where that was
    killed, when the next one starts.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._folder = Path()
        self._indexes: OrderedDict[str, RecordIndex] = OrderedDict()
        self._refreshed: dict[str, float] = {}
        self._number = 0

    @contextlib.contextmanager
    def opened(self, run: Run) -> Generator[RecordIndex]:
        """The index of a run, up to date, and not changed while it is used.

        Raises:
            ConfigError: DuckDB is not installed.
            StorageError, RunNotFoundError: the run cannot be read.
        """
        key = str(run.root.resolve())
        index = self._find(key)
        with index.lock:
            now = time.monotonic()
            if not index.is_begun or now - self._refreshed.get(key, -_FRESH_S) >= _FRESH_S:
                index.refresh(run)
                self._refreshed[key] = time.monotonic()
            with index.reading():
                yield index

    def _find(self, key: str) -> RecordIndex:
        with self._lock:
            database = self._database or self._open()
            index = self._indexes.get(key)
            if index is None:
                self._number += 1
                index = self._indexes[key] = RecordIndex(database, self._number, self._folder)
            self._indexes.move_to_end(key)
            outdated = [*self._indexes][: max(0, len(self._indexes) - _INDEXES)]
            dropped = [self._indexes.pop(key) for key in outdated]
        for old in dropped:
            with old.lock:
                old.drop(old.cursor())
        return index

    def _open(self) -> duckdb.DuckDBPyConnection:
        folder = make_own_folder()
        try:
            self._database = connect(str(folder.path / "records.duckdb"))
        except BaseException:
            folder.remove()
            raise
        self._folder = folder.path
        weakref.finalize(self, _close, self._database, folder)
        return self._database


def _close(database: duckdb.DuckDBPyConnection, folder: OwnFolder) -> None:
    with contextlib.suppress(Exception):
        database.close()
    folder.remove()
