"""Repair of a damaged SQLite file, each time a journal is opened for writing.

A kill or a power loss needs no repair here: SQLite restores the last commit. This is for files
that were *changed*: by a failing disk, a truncated copy, an editor.

- A page that cannot be read: all entries on other pages are copied into a new journal, and the
  damaged file is kept beside it.
- A damaged frame in the write-ahead log: SQLite takes the first frame that does not match for the
  end of the log. A process that dies leaves at most one unfinished transaction behind, so further
  commits after that frame mean damage, and :mod:`.wal_salvage` reads their entries.
- The file is no database any more: StorageError; a person decides.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from evalharness.errors import StorageError
from evalharness.store.folder import durable_files
from evalharness.store.journal.journal_format import (
    SCHEMA,
    Damage,
    connect_for_reading,
    is_damage,
    read_rows,
    unreadable_error,
)
from evalharness.store.journal.wal_salvage import WAL_HEADER, read_frames, salvage_wal

_SHM_MAX_FRAME = 16  # offset of mxFrame in the index of the write-ahead log

_SEALS = "SELECT part, upto FROM seal"
_QUARANTINE = "SELECT seq, kind, payload, crc FROM quarantine"


def open_and_repair(path: Path, damage: list[Damage]) -> sqlite3.Connection:
    """Open (or create) the journal and repair it; damage is appended to ``damage``.

    Everything committed is in the main file and synced afterwards: after a failed sync the page
    cache may show what the disk has lost, so the log must not stay the only copy.

    Raises:
        StorageError: it cannot be opened, or is no database any more.
    """
    try:
        db = _connect(path)
        if not _check_and_checkpoint(path, db, damage):
            _rebuild(path, db, damage)
            db = _connect(path)
    except sqlite3.Error as error:
        raise unreadable_error(path, error) from error
    except OSError as error:
        raise StorageError(f"cannot open the journal {path}: {error.strerror}") from error
    return db


def close_untouched(path: Path, db: sqlite3.Connection) -> None:
    """Close the journal after a failed write or sync, without changing any file.

    The last connection that closes would checkpoint the log into the main file. So a read-only
    connection is opened first and closed last.
    """
    with suppress(sqlite3.Error, StorageError):
        guard = connect_for_reading(path)
        db.close()
        if guard is not None:
            guard.close()
    db.close()


def commits_lost(path: Path) -> int:
    """How many whole commits the write-ahead log holds past the point where SQLite stops reading.

    Call it while the journal is open, before anything is written. 0 also when there is no log, or
    no index of it.
    """
    wal, shm = Path(f"{path}-wal"), Path(f"{path}-shm")
    try:
        with wal.open("rb") as log:
            header = log.read(WAL_HEADER)
            wal_frames = read_frames(log.fileno(), header, wal.stat().st_size)
        commits = [frame.number for frame in wal_frames if frame.database_size]
        index = _head_of_open_file(shm, 32) if commits else b""
        with wal.open("rb") as log:
            if log.read(WAL_HEADER) != header:  # the log was restarted meanwhile
                return 0
    except FileNotFoundError:
        return 0
    if len(index) < 32:
        return 0
    last = int.from_bytes(index[_SHM_MAX_FRAME : _SHM_MAX_FRAME + 4], sys.byteorder)
    # The last transaction may be incomplete without any damage.
    return max(0, sum(frame > last for frame in commits) - 1)


def _head_of_open_file(path: Path, size: int) -> bytes:
    """The first bytes of a file that SQLite holds open in this process; b"" if it holds none.

    Read through SQLite's own descriptor: closing any other descriptor of the file would drop all
    locks of this process on it (POSIX), and the next reader would truncate the file.
    """
    with suppress(OSError):
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if link.readlink() == path.resolve():
                    return os.pread(int(link.name), size, 0)
    return b""


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():  # private from the start; SQLite gives its other files the same mode
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, durable_files.FILE_MODE))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":  # SQLite keeps the old mode without an error when the change fails
            raise StorageError(
                f"the journal {path} cannot be put into write-ahead mode; it is in mode {mode}",
                hint="check the disk; a network file system will not do: results_dir=…",
            )
        db.execute("PRAGMA synchronous=FULL")
        # SQLite ignores errors of its automatic checkpoints, so the writer makes them itself.
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.executescript(SCHEMA)
    except BaseException:
        close_untouched(path, db)
        raise
    return db


def _check_and_checkpoint(path: Path, db: sqlite3.Connection, damage: list[Damage]) -> bool:
    """Whether the file is sound; if so, everything committed is in it and synced."""
    try:
        durable_files.sync_folder(path.parent)  # SQLite does this too, but ignores a failure
        lost = commits_lost(path)
        saved = salvage_wal(path) if lost else []
        if not _is_sound(db):
            return False
        if lost:
            new = _insert_missing(db, saved)
            damage.append(
                Damage(
                    0,
                    f"{lost} commits in the write-ahead log were out of reach; "
                    f"{new} entries of them were saved",
                )
            )
        # A concurrent reader only delays the truncation.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException:
        close_untouched(path, db)
        raise
    return True


def _insert_missing(db: sqlite3.Connection, rows: list[tuple[int, int, bytes, int]]) -> int:
    """Insert those entries that the journal lacks; returns their number."""
    before = db.total_changes
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?, ?)", rows)
    db.execute("COMMIT")
    return db.total_changes - before


def _is_sound(db: sqlite3.Connection) -> bool:
    try:
        return db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.Error as error:
        if is_damage(error):
            return False
        raise


def _rebuild(path: Path, damaged: sqlite3.Connection, damage: list[Damage]) -> None:
    """Replace a damaged journal by one of its readable entries; the damaged file is kept."""
    temporary = durable_files.temporary_for(path)
    for stale in (temporary, Path(f"{temporary}-journal")):
        stale.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT, durable_files.FILE_MODE))
    with closing(damaged), closing(sqlite3.connect(temporary, isolation_level=None)) as new:
        new.execute("PRAGMA synchronous=FULL")
        new.executescript(SCHEMA)
        new.execute("BEGIN")
        rows = read_rows(damaged, damage=damage)
        new.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?, ?)", rows)
        with suppress(sqlite3.Error):  # a seal can be repeated, and quarantine holds no answers
            new.executemany("INSERT INTO seal VALUES (?, ?)", damaged.execute(_SEALS))
            insert = "INSERT INTO quarantine VALUES (?, ?, ?, ?)"
            new.executemany(insert, damaged.execute(_QUARANTINE))
        new.execute("COMMIT")
        # A checkpoint copies pages without reading them, so it works on a damaged file.
        busy = damaged.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise StorageError(
            f"the damaged journal {path} cannot be replaced while another process reads it",
            hint="run the same command again in a moment",
        )
    if not damage:
        damage.append(Damage(0, "its tables were inconsistent and have been rebuilt"))
    backup = next(p for n in count(1) if not (p := path.with_name(f"damaged-{n}.sqlite")).exists())
    backup.hardlink_to(path)
    durable_files.ops.replace(temporary, path)
    durable_files.sync_folder(path.parent)
