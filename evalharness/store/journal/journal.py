"""The writer of the journal: every attempt is durable before it is sent, every answer too.

SQLite in WAL mode with ``synchronous=FULL``, one connection, one writer thread. Commits are
grouped without a timer: while one transaction syncs, entries queue up, and the next transaction
takes all of them. Entries commit in the order they were appended, so waiting for one entry means
that everything appended before it is durable too.

The format of entries is in :mod:`.journal_format`; :mod:`.repair` opens a journal.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from evalharness.errors import StorageError
from evalharness.process.fair_wakeup import BatchedWakeups
from evalharness.records import AttemptResult, Intent
from evalharness.store.journal.disk_reserve import DiskReserve
from evalharness.store.journal.journal_format import (
    FILE_NAME,
    RESULT,
    ROWS_PER_STATEMENT,
    Damage,
    Row,
    encode_row,
    insert_rows,
)
from evalharness.store.journal.repair import close_untouched, open_and_repair

# Size of the write-ahead log at which it is checkpointed into the main file.
CHECKPOINT_BYTES = 4 * 2**20
# SQLite's names for a write without room: of the log itself, and of its index.
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
# SQLite reports an exhausted quota like a broken disk.
_PERHAPS_FULL = "SQLITE_IOERR_WRITE"
_PAGE = 4096


class _QueueItem(msgspec.Struct, frozen=True):
    row: Row
    final: bool
    future: asyncio.Future[None] | None


class Journal:
    """The journal, opened for writing by one thread that :meth:`start` begins.

    Args:
        folder: the run's ``journal/`` folder; created by the caller.
        on_failure: called once, on the event loop, when the disk failed.
    """

    def __init__(self, folder: Path, *, on_failure: Callable[[StorageError], None]) -> None:
        self.path = folder / FILE_NAME
        # `failure`: nothing can be written any more. `low_disk`: only answers are still accepted.
        self.failure: StorageError | None = None
        self.low_disk: StorageError | None = None
        self.pending_bytes = 0
        # Records that were counted as durable and were lost when the disk failed.
        self.lost_records = 0
        self._on_failure = on_failure
        self._reserve = DiskReserve(folder / "reserve.bin")
        self._queue: deque[_QueueItem] = deque()
        self._work: deque[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._since_checkpoint = 0
        self._idle = True
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakeups: BatchedWakeups[None] | None = None
        self._thread: threading.Thread | None = None
        self._reserve.allocate()
        self.damage: list[Damage] = []
        self.connection = open_and_repair(self.path, self.damage)

    def start(self, *, in_flight: int = 1, answer_bytes: int = 0) -> None:
        """Start the writer thread; futures resolve on the running event loop.

        Args:
            in_flight: the largest number of requests in flight.
            answer_bytes: estimated size of one answer.

        Raises:
            StorageError: the disk has no room to reserve for them.
        """
        self._reserve.expect(in_flight, answer_bytes)
        if self._thread is not None:  # with more in flight from now on
            return
        self._loop, self._wakeups = asyncio.get_running_loop(), BatchedWakeups()
        self._thread = threading.Thread(target=self._write_forever, name="journal", daemon=True)
        self._thread.start()

    def append(self, value: Intent | AttemptResult) -> asyncio.Future[None]:
        """Queue an entry; the future resolves once it is on disk.

        Raises:
            StorageError: see :meth:`put`.
        """
        assert self._loop is not None
        future: asyncio.Future[None] = self._loop.create_future()
        self.put(value, future)
        return future

    def put(
        self, value: Intent | AttemptResult, future: asyncio.Future[None] | None = None
    ) -> None:
        """Queue an entry without waiting; it is durable as soon as any later entry is.

        Raises:
            StorageError: the journal has failed before, or the disk is so full that no new
                request may be sent.
        """
        refused = self.failure or (self.low_disk if isinstance(value, Intent) else None)
        if refused is not None:
            raise refused
        final = isinstance(value, AttemptResult) and value.final
        self._queue.append(_QueueItem(encode_row(value), final, future))
        self._notify()

    async def execute(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run ``work(connection)`` in a transaction of its own on the writer thread."""
        assert self._loop is not None
        if self.failure is not None:
            raise self.failure
        future: asyncio.Future[Any] = self._loop.create_future()
        self._work.append((work, future))
        self._notify()
        return await future

    async def flush(self) -> None:
        """Wait until everything appended so far is on disk."""
        await self.execute(lambda _db: None)

    def close(self) -> None:
        """Write what is queued, stop the thread, close the file and free the reserve."""
        self._closing = True
        self._wake.put(None)
        if self._thread is not None:
            self._thread.join()
        if self.failure is not None:
            close_untouched(self.path, self.connection)
        with suppress(sqlite3.Error):
            self.connection.close()
        self._reserve.release()

    # ── writer thread ────────────────────────────────────────────────────────────────────────

    def _notify(self) -> None:
        if self._idle:
            self._idle = False
            self._wake.put(None)

    def _write_forever(self) -> None:
        while True:
            self._wake.get()
            self._idle = True
            while self._queue or self._work:
                count = len(self._work)  # work runs after the entries that were queued before it
                self._write_batch()
                self._run_work(count)
            if self._closing:
                return

    def _write_batch(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        if not batch:
            return
        try:
            self._commit(batch)
        except Exception as error:
            # Those who wait for these entries must get the error, or they wait for ever.
            self._fail(error)
        futures = [entry.future for entry in batch if entry.future is not None]
        self._on_loop(self._resolve, futures, self.failure)

    def _commit(self, batch: list[_QueueItem]) -> None:
        rows = [entry.row for entry in batch]
        self._attempt(
            lambda db: insert_rows(db, rows), single_statement=len(rows) <= ROWS_PER_STATEMENT
        )
        if self.failure is not None:
            self.lost_records += sum(entry.final for entry in batch)
            return
        size = sum(len(payload) for _, payload, _ in rows)
        self.pending_bytes += size
        self._checkpoint_when_due(size)
        self._keep_reserve(rows)

    def _run_work(self, count: int) -> None:
        for _ in range(count):
            work, future = self._work.popleft()
            result = self._attempt(work)
            self._on_loop(_deliver, future, result, self.failure)

    def _attempt(
        self, work: Callable[[sqlite3.Connection], Any], *, single_statement: bool = False
    ) -> Any:
        """Run one transaction; retry once with the reserve freed if the disk is full.

        A failed sync is never retried: after it the page cache may hold what the disk has lost.
        ``single_statement``: the work is one statement, which is a transaction by itself.
        """
        if self.failure is not None:
            return None
        try:
            try:
                return work(self.connection) if single_statement else self._transaction(work)
            except Exception as error:
                if not self._is_full(error) or not self._reserve.release():
                    raise
            self._stop_sending(
                "the disk is full: sending stopped, answers in flight are being saved"
            )
            return self._transaction(work)
        except Exception as error:
            # The thread goes on after any error, because others wait for it.
            return self._fail(error)

    def _is_full(self, error: Exception) -> bool:
        """Whether a write failed because the disk or a quota is full."""
        name = _name(error)
        return name in _FULL or (name == _PERHAPS_FULL and self._reserve.is_disk_full())

    def _keep_reserve(self, rows: list[Row]) -> None:
        """Grow the reserve with the size of answers; stop sending if the disk has no room."""
        sizes = (len(payload) for kind, payload, _ in rows if kind == RESULT)
        if self.low_disk is None and not self._reserve.grow_for(sizes):
            self._stop_sending(
                "the disk is nearly full: no room left to set aside for the answers in flight; "
                "sending stopped, they are being saved"
            )

    def _stop_sending(self, reason: str) -> None:
        hint = "free some space and run the same command again"
        self.low_disk = StorageError(reason, hint=hint)
        self._on_loop(self._on_failure, self.low_disk)

    def _checkpoint_when_due(self, size: int) -> None:
        """Checkpoint the write-ahead log now and then, so that it stays short."""
        self._since_checkpoint += size + 2 * _PAGE
        if self._since_checkpoint < CHECKPOINT_BYTES or self.low_disk is not None:
            return
        self._since_checkpoint = 0
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            # Nothing is lost, and the next commit will notice a full disk.
            if not self._is_full(error):
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.failure = StorageError(
            f"the journal {self.path.name} cannot be written: {error} ({_name(error)})",
            hint="check the disk, then run the same command again",
        )
        self._on_loop(self._on_failure, self.failure)

    def _transaction(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self.connection)
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise
        return result

    def _resolve(self, futures: list[asyncio.Future[None]], failure: StorageError | None) -> None:
        """Resolve futures; runs on the event loop.

        Args:
            futures: of the entries of one transaction.
            failure: why the transaction failed, or None.
        """
        assert self._wakeups is not None
        for future in futures:
            if failure is None:
                self._wakeups.put(future, None)
            elif not future.done():
                future.set_exception(failure)

    def _on_loop(self, callback: Callable[..., Any], *args: Any) -> None:
        # A closed loop means that the run has ended and nobody waits any more.
        with suppress(RuntimeError):
            assert self._loop is not None
            self._loop.call_soon_threadsafe(callback, *args)


def _name(error: Exception) -> str:
    """SQLite's name of an error; the type of any other."""
    return getattr(error, "sqlite_errorname", type(error).__name__)


def _deliver(future: asyncio.Future[Any], result: Any, failure: StorageError | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)
