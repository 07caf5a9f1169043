"""Opening a journal that the last process may have left in any state, and saving what is sound.

Kill and power loss need nothing from here: SQLite brings back the last commit. This is for files
that were *changed*: by a failing disk, a copy that was cut short, an editor.

- A page that cannot be read: every entry on other pages is copied into a fresh journal, and the
  damaged file is kept beside it.
- The write-ahead log ends before its last commits: SQLite takes the first frame that does not
  match for the end of the log. A process that dies leaves at most one unfinished transaction
  behind, so further commits after that point mean damage, and :mod:`.salvage` saves their entries.
- The journal is no database any more: StorageError; a person decides.
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
    unreadable,
)
from evalharness.store.journal.wal_salvage import WAL_HEADER, frames, salvage

_SHM_MAX_FRAME = 16  # offset of mxFrame in the index of the write-ahead log

_SEALS = "SELECT part, upto FROM seal"
_ASIDE = "SELECT seq, kind, payload, crc FROM quarantine"


def open_for_writing(path: Path, damage: list[Damage]) -> sqlite3.Connection:
    """Open (and create) the journal; what is wrong with it goes to ``damage``.

    Everything committed is in the main file and synced afterwards: after a failed sync the page
    cache may show what the disk has lost, so the log is not trusted as it lies there.

    Raises:
        StorageError: it cannot be opened, or is no database any more.
    """
    try:
        db = _connect(path)
        if not _check_and_settle(path, db, damage):
            _rebuild(path, db, damage)
            db = _connect(path)
    except sqlite3.Error as error:
        raise unreadable(path, error) from error
    except OSError as error:
        raise StorageError(f"cannot open the journal {path}: {error.strerror}") from error
    return db


def close_untouched(path: Path, db: sqlite3.Connection) -> None:
    """Close the journal after a failed write or sync, touching nothing any more.

    The last connection that closes brings the log into the main file. One that cannot write is
    made the last here.
    """
    with suppress(sqlite3.Error, StorageError):
        guard = connect_for_reading(path)
        db.close()
        if guard is not None:
            guard.close()
    db.close()


def commits_lost(path: Path) -> int:
    """How many whole commits lie in the write-ahead log past the point where SQLite stops reading.

    Call it while the journal is open, before anything is written. 0 also where that cannot be
    told: no log, or its index is not there.
    """
    wal, shm = Path(f"{path}-wal"), Path(f"{path}-shm")
    try:
        with wal.open("rb") as log:
            header = log.read(WAL_HEADER)
            found = frames(log.fileno(), header, wal.stat().st_size)
        commits = [frame.number for frame in found if frame.commits]
        index = _head_of_open_file(shm, 32) if commits else b""
        with wal.open("rb") as log:
            if log.read(WAL_HEADER) != header:  # begun anew meanwhile
                return 0
    except FileNotFoundError:
        return 0
    if len(index) < 32:
        return 0
    last = int.from_bytes(index[_SHM_MAX_FRAME : _SHM_MAX_FRAME + 4], sys.byteorder)
    # The last transaction may be torn without anybody's fault.
    return max(0, sum(frame > last for frame in commits) - 1)


def _head_of_open_file(path: Path, size: int) -> bytes:
    """The first bytes of a file that SQLite holds open in this process; b"" where there is none.

    Through SQLite's own descriptor: closing any other descriptor of the file would drop all locks
    this process holds on it (POSIX), and the next reader would truncate it under our feet.
    """
    with suppress(OSError):
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if link.readlink() == path.resolve():
                    return os.pread(int(link.name), size, 0)
    return b""


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():  # private from the first byte; SQLite gives its other files this mode
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, durable_files.FILE_MODE))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":  # SQLite keeps the old mode where the change fails, and says nothing
            raise StorageError(
                f"the journal {path} cannot be put into write-ahead mode; it is in mode {mode}",
                hint="check the disk; a network file system will not do: results_dir=…",
            )
        db.execute("PRAGMA synchronous=FULL")
        # SQLite would ignore errors of a checkpoint it makes by itself; the writer makes them.
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.executescript(SCHEMA)
    except BaseException:
        close_untouched(path, db)
        raise
    return db


def _check_and_settle(path: Path, db: sqlite3.Connection, damage: list[Damage]) -> bool:
    """Whether the file is sound; then everything committed is in it and synced."""
    try:
        durable_files.sync_folder(
            path.parent
        )  # SQLite does so, too, and ignores it when that fails
        lost = commits_lost(path)
        saved = salvage(path) if lost else []
        if not _is_sound(db):
            return False
        if lost:
            new = _put_back(db, saved)
            damage.append(
                Damage(
                    0,
                    f"{lost} commits in the write-ahead log were out of reach; "
                    f"{new} entries of them were saved",
                )
            )
        # A reader in the way only puts the truncation off.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException:
        close_untouched(path, db)
        raise
    return True


def _put_back(db: sqlite3.Connection, rows: list[tuple[int, int, bytes, int]]) -> int:
    """Insert entries that the journal does not have; how many those are."""
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
    """Put a journal of all sound entries in the place of a damaged one, which is kept beside it."""
    aside = durable_files.temporary_for(path)
    for leftover in (aside, Path(f"{aside}-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(aside, os.O_RDWR | os.O_CREAT, durable_files.FILE_MODE))
    with closing(damaged), closing(sqlite3.connect(aside, isolation_level=None)) as fresh:
        fresh.execute("PRAGMA synchronous=FULL")
        fresh.executescript(SCHEMA)
        fresh.execute("BEGIN")
        rows = read_rows(damaged, damage=damage)
        fresh.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?, ?)", rows)
        with suppress(sqlite3.Error):  # a seal can be repeated, and quarantine holds no answers
            fresh.executemany("INSERT INTO seal VALUES (?, ?)", damaged.execute(_SEALS))
            fresh.executemany("INSERT INTO quarantine VALUES (?, ?, ?, ?)", damaged.execute(_ASIDE))
        fresh.execute("COMMIT")
        # Pages move from the log into the file without being understood, so this works on damage.
        busy = damaged.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise StorageError(
            f"the damaged journal {path} cannot be replaced while another process reads it",
            hint="run the same command again in a moment",
        )
    if not damage:
        damage.append(Damage(0, "its tables were inconsistent and have been rebuilt"))
    kept = next(p for n in count(1) if not (p := path.with_name(f"damaged-{n}.sqlite")).exists())
    kept.hardlink_to(path)
    durable_files.ops.replace(aside, path)
    durable_files.sync_folder(path.parent)
