"""The journal: every attempt is durable before it is sent, every answer before it counts.

SQLite in WAL mode with ``synchronous=FULL``, one connection, one writer thread. Commits are
grouped without a timer: while one transaction syncs, entries queue up, and the next transaction
takes all of them. Entries commit in the order they were appended, so waiting for one entry means
that everything appended before it is durable too.

Each entry carries a CRC-32 of its kind and payload. An entry that does not match is never
returned: it is moved to the ``quarantine`` table and reported.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evalharness.errors import StorageError
from evalharness.records import AttemptResult, Intent
from evalharness.store.reserve import Reserve

FILE_NAME = "journal.sqlite"
INTENT, RESULT = 1, 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seal (part INTEGER PRIMARY KEY, upto INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS quarantine (
    seq INTEGER PRIMARY KEY, kind INTEGER, payload BLOB, crc INTEGER);
"""
_INSERT = "INSERT INTO entry (kind, payload, crc) VALUES (?, ?, ?)"

_encoder = msgspec.msgpack.Encoder(decimal_format="string")
_decode_intent = msgspec.msgpack.Decoder(Intent).decode
_decode_result = msgspec.msgpack.Decoder(AttemptResult).decode


class Entry(NamedTuple):
    """One journal row, checked and decoded."""

    seq: int
    value: Intent | AttemptResult


class Damage(NamedTuple):
    """A journal row that cannot be trusted; ``size`` is its payload's length in bytes."""

    seq: int
    reason: str
    size: int


def encode_row(value: Intent | AttemptResult) -> tuple[int, bytes, int]:
    """An entry as the columns kind, payload and crc."""
    kind = INTENT if isinstance(value, Intent) else RESULT
    payload = _encoder.encode(value)
    return kind, payload, checksum(kind, payload)


def checksum(kind: int, payload: bytes) -> int:
    """CRC-32 over the kind and the payload, so that neither can change unseen."""
    return zlib.crc32(payload, kind)


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
        self._on_failure = on_failure
        self._reserve = Reserve(folder / "reserve.bin")
        self._queue: deque[tuple[tuple[int, bytes, int], asyncio.Future[None] | None]] = deque()
        self._work: deque[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = deque()
        self._wake = threading.Semaphore(0)
        self._idle = True
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._reserve.make()
        self.connection = connect(self.path)

    def start(self) -> None:
        """Start the writer thread; futures resolve on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write_forever, name="journal", daemon=True)
        self._thread.start()

    def append(self, value: Intent | AttemptResult, *, wait: bool = True) -> asyncio.Future[None]:
        """Queue an entry; the future resolves once it is on disk.

        With ``wait=False`` the future is already done and the entry's durability is learned from
        any later entry (order is kept).

        Raises:
            StorageError: the journal has failed before, or the disk is so full that no new
                request may be sent.
        """
        refused = self.failure or (self.low_disk if isinstance(value, Intent) else None)
        if refused is not None:
            raise refused
        assert self._loop is not None
        row = encode_row(value)
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.append((row, future if wait else None))
        if not wait:
            future.set_result(None)
        self._notify()
        return future

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
        self._wake.release()
        if self._thread is not None:
            self._thread.join()
        with suppress(sqlite3.Error):
            self.connection.close()
        self._reserve.release()

    # ── writer thread ────────────────────────────────────────────────────────────────────────

    def _notify(self) -> None:
        if self._idle:
            self._idle = False
            self._wake.release()

    def _write_forever(self) -> None:
        while True:
            self._wake.acquire()
            self._idle = True
            while self._queue or self._work:
                self._write_batch()
                self._run_work()
            if self._closing:
                return

    def _write_batch(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        if not batch:
            return
        rows = [row for row, _ in batch]
        self._attempt(lambda db: db.executemany(_INSERT, rows))
        if self.failure is None:
            self.pending_bytes += sum(len(payload) for _, payload, _ in rows)
        waiting = [future for _, future in batch if future is not None]
        self._on_loop(_settle, waiting, self.failure)

    def _run_work(self) -> None:
        while self._work:
            work, future = self._work.popleft()
            result = self._attempt(work)
            self._on_loop(_deliver, future, result, self.failure)

    def _attempt(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run one transaction. A full disk is met once with the reserve; all else is final.

        A failed sync is never tried again: after it the page cache may claim what the disk lost.
        """
        if self.failure is not None:
            return None
        try:
            return self._transaction(work)
        except sqlite3.Error as error:
            if error.sqlite_errorname != "SQLITE_FULL" or not self._reserve.release():
                return self._fail(error)
        self.low_disk = StorageError(
            "the disk is full: sending stopped, answers in flight are being saved",
            hint="free some space and run the same command again",
        )
        self._on_loop(self._on_failure, self.low_disk)
        try:
            return self._transaction(work)
        except sqlite3.Error as error:
            return self._fail(error)

    def _fail(self, error: sqlite3.Error) -> None:
        name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
        self.failure = StorageError(
            f"the journal {self.path.name} cannot be written: {error} ({name})",
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

    def _on_loop(self, callback: Callable[..., Any], *args: Any) -> None:
        # The loop is gone when the run was torn down meanwhile: nobody is left to tell.
        with suppress(RuntimeError):
            assert self._loop is not None
            self._loop.call_soon_threadsafe(callback, *args)


def _settle(futures: list[asyncio.Future[None]], failure: StorageError | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)


def _deliver(future: asyncio.Future[Any], result: Any, failure: StorageError | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)


def connect(path: Path) -> sqlite3.Connection:
    """Open (and create) the journal for writing.

    Raises:
        StorageError: it cannot be opened, or it is not a database.
    """
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.executescript(_SCHEMA)
    except sqlite3.Error as error:
        raise StorageError(
            f"the journal {path} cannot be opened: {error}",
            hint="evalharness verify RUN tells what can be saved",
        ) from error
    path.chmod(0o600)
    return db


def connect_for_reading(path: Path) -> sqlite3.Connection | None:
    """Open the journal without writing to it; None when there is none yet."""
    if not path.exists():
        return None
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        db.execute("SELECT 1 FROM entry LIMIT 1")
    except sqlite3.Error as error:
        if "no such table" in str(error):  # created a moment ago, nothing committed yet
            return None
        raise StorageError(f"the journal {path} cannot be read: {error}") from error
    return db


def read_entries(
    db: sqlite3.Connection, *, upto: int | None = None, damage: list[Damage] | None = None
) -> Iterator[Entry]:
    """Yield every sound entry in order; damaged ones go to ``damage`` and are not returned."""
    where = "" if upto is None else f" WHERE seq <= {int(upto)}"
    query = f"SELECT seq, kind, payload, crc FROM entry{where} ORDER BY seq"  # noqa: S608
    for seq, kind, payload, crc in db.execute(query):
        problem = _problem(kind, payload, crc)
        if problem is None:
            try:
                decode = _decode_intent if kind == INTENT else _decode_result
                yield Entry(seq, decode(payload))
                continue
            except msgspec.MsgspecError as error:
                problem = f"does not decode: {error}"
        if damage is not None:
            size = len(payload) if isinstance(payload, bytes) else 0
            damage.append(Damage(seq, problem, size))


def _problem(kind: Any, payload: Any, crc: Any) -> str | None:
    if kind not in (INTENT, RESULT) or not isinstance(payload, bytes):
        return "not a journal entry"
    if checksum(kind, payload) != crc:
        return "checksum does not match"
    return None


def quarantine(db: sqlite3.Connection, damaged: list[Damage]) -> None:
    """Move damaged entries aside, so that they are kept but never read as answers."""
    for item in damaged:
        db.execute(
            "INSERT OR REPLACE INTO quarantine SELECT seq, kind, payload, crc FROM entry "
            "WHERE seq = ?",
            (item.seq,),
        )
        db.execute("DELETE FROM entry WHERE seq = ?", (item.seq,))
