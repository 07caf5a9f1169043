"""The journal: every attempt is durable before it is sent, every answer before it counts.

SQLite in WAL mode with ``synchronous=FULL``, one connection, one writer thread. Commits are
grouped without a timer: while one transaction syncs, entries queue up, and the next transaction
takes all of them. Entries commit in the order they were appended, so waiting for one entry means
that everything appended before it is durable too.

What an entry looks like is in :mod:`.journal_format`; how a journal is opened, and rescued where it
is damaged, in :mod:`.repair`.
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
from evalharness.process.fair_wakeup import Slices
from evalharness.records import AttemptResult, Intent
from evalharness.store.journal.disk_reserve import Reserve
from evalharness.store.journal.journal_format import (
    AT_ONCE,
    FILE_NAME,
    RESULT,
    Damage,
    Row,
    encode_row,
    insert_rows,
)
from evalharness.store.journal.repair import close_untouched, open_for_writing

# How far the write-ahead log may grow before it is brought into the main file.
CHECKPOINT_BYTES = 4 * 2**20
# Writes refused for want of room: of the log itself, or of its index, which SQLite names otherwise.
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
# A quota used up is to SQLite a write that failed, like a broken disk.
_PERHAPS_FULL = "SQLITE_IOERR_WRITE"
_PAGE = 4096


class _Queued(msgspec.Struct, frozen=True):
    row: Row
    final: bool
    future: asyncio.Future[None] | None


class Journal:
    """The writing end. All methods but :meth:`append` run on the writer thread or before it starts.

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
        # Records taken for durable that the failing disk did not take.
        self.lost_records = 0
        self._on_failure = on_failure
        self._reserve = Reserve(folder / "reserve.bin")
        self._queue: deque[_Queued] = deque()
        self._work: deque[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._since_checkpoint = 0
        self._idle = True
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slices: Slices[None] | None = None
        self._thread: threading.Thread | None = None
        self._reserve.make()
        self.damage: list[Damage] = []
        self.connection = open_for_writing(self.path, self.damage)

    def start(self, *, in_flight: int = 1, answer_bytes: int = 0) -> None:
        """Start the writer thread; futures resolve on the running event loop.

        Args:
            in_flight: answers that may be on their way when the disk turns out to be full.
            answer_bytes: about how large one of them is thought to be.

        Raises:
            StorageError: there is no room to set aside for them.
        """
        self._reserve.expect(in_flight, answer_bytes)
        self._loop, self._slices = asyncio.get_running_loop(), Slices()
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
        """Queue an entry without waiting: any later entry tells of its durability (order is kept).

        Raises:
            StorageError: the journal has failed before, or the disk is so full that no new
                request may be sent.
        """
        refused = self.failure or (self.low_disk if isinstance(value, Intent) else None)
        if refused is not None:
            raise refused
        final = isinstance(value, AttemptResult) and value.final
        self._queue.append(_Queued(encode_row(value), final, future))
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
        """Stop the thread after what is queued, close the file, give back the reserve."""
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
                due = len(self._work)  # all that was queued before these is written before them
                self._write_batch()
                self._run_work(due)
            if self._closing:
                return

    def _write_batch(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        if not batch:
            return
        try:
            self._commit(batch)
        except Exception as error:
            # Who waits for these entries must hear of it, or the run stands still for ever.
            self._fail(error)
        waiting = [entry.future for entry in batch if entry.future is not None]
        self._on_loop(self._settle, waiting, self.failure)

    def _commit(self, batch: list[_Queued]) -> None:
        rows = [entry.row for entry in batch]
        self._attempt(lambda db: insert_rows(db, rows), whole=len(rows) <= AT_ONCE)
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

    def _attempt(self, work: Callable[[sqlite3.Connection], Any], *, whole: bool = False) -> Any:
        """Run one transaction. A full disk is met once with the reserve; all else is final.

        A failed sync is never tried again: after it the page cache may claim what the disk lost.
        ``whole``: the work is a single statement, which is a transaction by itself.
        """
        if self.failure is not None:
            return None
        try:
            try:
                return work(self.connection) if whole else self._transaction(work)
            except Exception as error:
                if not self._is_full(error) or not self._reserve.release():
                    raise
            self._stop_sending(
                "the disk is full: sending stopped, answers in flight are being saved"
            )
            return self._transaction(work)
        except Exception as error:
            # Whatever it is, the thread goes on: others wait for it, and must hear of a failure.
            return self._fail(error)

    def _is_full(self, error: Exception) -> bool:
        """Whether a write was refused for want of room, on the disk or in a quota."""
        name = _name(error)
        return name in _FULL or (name == _PERHAPS_FULL and self._reserve.is_starved())

    def _keep_reserve(self, rows: list[Row]) -> None:
        """Set more aside as answers turn out larger; stop sending where the disk has no more."""
        sizes = (len(payload) for kind, payload, _ in rows if kind == RESULT)
        if self.low_disk is None and not self._reserve.keep_up(sizes):
            self._stop_sending(
                "the disk is nearly full: no room left to set aside for the answers in flight; "
                "sending stopped, they are being saved"
            )

    def _stop_sending(self, reason: str) -> None:
        hint = "free some space and run the same command again"
        self.low_disk = StorageError(reason, hint=hint)
        self._on_loop(self._on_failure, self.low_disk)

    def _checkpoint_when_due(self, size: int) -> None:
        """Bring the write-ahead log into the main file now and then, so that it stays short."""
        self._since_checkpoint += size + 2 * _PAGE
        if self._since_checkpoint < CHECKPOINT_BYTES or self.low_disk is not None:
            return
        self._since_checkpoint = 0
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            # The log holds everything, so a full disk can wait for the next commit to notice.
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

    def _settle(self, futures: list[asyncio.Future[None]], failure: StorageError | None) -> None:
        """Tell those who wait; on the event loop.

        Args:
            futures: of the entries of one transaction.
            failure: why they are not on disk. What failed since is another transaction's.
        """
        assert self._slices is not None
        for future in futures:
            if failure is None:
                self._slices.put(future, None)
            elif not future.done():
                future.set_exception(failure)

    def _on_loop(self, callback: Callable[..., Any], *args: Any) -> None:
        # The loop is gone when the run was torn down meanwhile: nobody is left to tell.
        with suppress(RuntimeError):
            assert self._loop is not None
            self._loop.call_soon_threadsafe(callback, *args)


def _name(error: Exception) -> str:
    """SQLite's name of an error; of one that is not SQLite's, its type."""
    return getattr(error, "sqlite_errorname", type(error).__name__)


def _deliver(future: asyncio.Future[Any], result: Any, failure: StorageError | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)
