"""The format of a journal: its tables, and how entries are encoded, checked and read.

Each entry has a CRC-32 of its kind and payload. An entry that does not match is never returned: it
is reported as :class:`Damage`, and the writer moves it to the ``quarantine`` table. If whole pages
of the file cannot be read, the entries on all other pages are still read.
"""

from __future__ import annotations

import itertools
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evalharness.errors import StorageError
from evalharness.records import AttemptResult, Intent

FILE_NAME = "journal.sqlite"
# Up to so many rows are inserted by one statement, which needs no BEGIN and COMMIT.
ROWS_PER_STATEMENT = 64
INTENT, RESULT = 1, 2

SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seal (part INTEGER PRIMARY KEY, upto INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS quarantine (
    seq INTEGER PRIMARY KEY, kind INTEGER, payload BLOB, crc INTEGER);
"""
# Rows per statement. SQLite releases and takes the GIL once per statement, and may have to wait for
# it, so a large batch is written in few statements; the rest goes in one more.
_STATEMENT_SIZES = (512, ROWS_PER_STATEMENT)
_INSERT = "INSERT INTO entry (kind, payload, crc) VALUES "
_INSERTS = {
    n: _INSERT + ", ".join(["(?, ?, ?)"] * n) for n in (512, *range(1, ROWS_PER_STATEMENT + 1))
}
_COLUMNS = "SELECT seq, kind, payload, crc FROM entry"
# Within damage, the search for single entries ends after so many numbers without one. That is more
# than one damaged page of the B-tree can hide.
_MAX_MISSES = 20_000
_READ_TWICE = "a damaged page leads to the same entries twice"

_encoder = msgspec.msgpack.Encoder(decimal_format="string")
_decode_intent = msgspec.msgpack.Decoder(Intent).decode
_decode_result = msgspec.msgpack.Decoder(AttemptResult).decode

Row = tuple[int, bytes, int]
# seq, kind, payload and crc as they are in the file, where damage may have changed their types.
StoredRow = tuple[int, Any, Any, Any]


class JournalEntry(NamedTuple):
    """One journal row, checked and decoded."""

    seq: int
    value: Intent | AttemptResult


class Damage(NamedTuple):
    """Something in a journal that does not match its checksum or cannot be read.

    ``seq`` is the row's number, 0 for damage that is not of one row; ``size`` is the payload's
    length in bytes, 0 when unknown.
    """

    seq: int
    reason: str
    size: int = 0


def encode_row(value: Intent | AttemptResult) -> Row:
    """An entry as the columns kind, payload and crc."""
    kind = INTENT if isinstance(value, Intent) else RESULT
    payload = _encoder.encode(value)
    return kind, payload, checksum(kind, payload)


def insert_rows(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Append rows in order, many per statement.

    More than :data:`ROWS_PER_STATEMENT` rows are atomic only in a transaction of the caller.
    """
    start = 0
    while start < len(rows):
        remaining = len(rows) - start
        n = next((n for n in _STATEMENT_SIZES if remaining >= n), remaining)
        values = itertools.chain.from_iterable(rows[start : start + n])
        db.execute(_INSERTS[n], tuple(values))
        start += n


def checksum(kind: int, payload: bytes) -> int:
    """CRC-32 of the kind and the payload."""
    return zlib.crc32(payload, kind)


def connect_for_reading(path: Path) -> sqlite3.Connection | None:
    """Open the journal without writing to it; None when there is none yet.

    Raises:
        StorageError: it is no database, or its first page cannot be read.
    """
    if not path.exists():
        return None
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        db.execute("SELECT 1 FROM entry LIMIT 0")
    except sqlite3.Error as error:
        # A journal that is being created, or whose creation was killed, has a rollback journal.
        name: str = getattr(error, "sqlite_errorname", "")
        if "no such table" in str(error) or name == "SQLITE_READONLY_ROLLBACK":
            return None
        raise unreadable_error(path, error) from error
    return db


def unreadable_error(path: Path, error: sqlite3.Error) -> StorageError:
    """The error for a journal that cannot be opened, with a hint how to go on."""
    folder = path.parent
    if not is_damage(error):
        return StorageError(
            f"the journal {path} cannot be opened: {error}",
            hint="check the disk, then run the same command again",
        )
    return StorageError(
        f"the journal {path} cannot be read: {error}",
        hint=f"sealed records are not affected; to go on without the journal, asking again what "
        f"only it holds: mv {folder} {folder}.damaged",
    )


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is corrupt, rather than busy or full."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ"))


def read_entries(
    db: sqlite3.Connection,
    *,
    damage: list[Damage],
    last_seq: int | None = None,
    first_seq: int = 0,
) -> Iterator[JournalEntry]:
    """Yield every sound entry in order, from ``first_seq`` up to ``last_seq``.

    Damage is appended to ``damage``.

    Raises:
        StorageError: the journal cannot be read for another reason than damage.
    """
    rows = read_rows(db, damage=damage, last_seq=last_seq, first_seq=first_seq)
    for seq, kind, payload, crc in rows:
        problem = _problem(kind, payload, crc)
        if problem is None:
            try:
                decode = _decode_intent if kind == INTENT else _decode_result
                value = decode(payload)
            except msgspec.MsgspecError as error:
                problem = f"does not decode: {error}"
            else:
                yield JournalEntry(seq, value)
                continue
        damage.append(Damage(seq, problem, len(payload) if isinstance(payload, bytes) else 0))


def read_rows(
    db: sqlite3.Connection,
    *,
    damage: list[Damage],
    last_seq: int | None = None,
    first_seq: int = 0,
) -> Iterator[StoredRow]:
    """Yield rows as they are stored, unchecked, also past pages that cannot be read.

    A damaged page may lead to another one twice; each row is given once.
    """
    seen: set[int] = set()
    for row in _rows(db, damage, first_seq, 2**62 if last_seq is None else last_seq):
        if row[0] not in seen:
            seen.add(row[0])
            yield row
        elif not any(item.seq == 0 and item.reason == _READ_TWICE for item in damage):
            damage.append(Damage(0, _READ_TWICE))


def _rows(
    db: sqlite3.Connection, damage: list[Damage], first_seq: int, last_seq: int
) -> Iterator[StoredRow]:
    """Read forwards up to the damage, backwards from the end to it, and row by row within it."""
    last = max(0, first_seq - 1)
    bounds = (first_seq, last_seq)
    try:
        for row in db.execute(f"{_COLUMNS} WHERE seq BETWEEN ? AND ? ORDER BY seq", bounds):
            last = row[0]
            yield row
        return
    except sqlite3.Error as error:
        _raise_unless_damage(error)
        damage.append(Damage(0, f"a part of the file, after entry {last}, cannot be read: {error}"))
    rows_after = list(_rows_backwards(db, last + 1, last_seq))
    first = rows_after[-1][0] if rows_after else last_seq + 1
    yield from _rows_singly(db, range(last + 1, first))
    if rows_after:
        yield from _rows_singly(db, range(first - 1, last, -1))
    yield from reversed(rows_after)


def _rows_backwards(db: sqlite3.Connection, first: int, last_seq: int) -> Iterator[StoredRow]:
    query = f"{_COLUMNS} WHERE seq BETWEEN ? AND ? ORDER BY seq DESC"
    try:
        yield from db.execute(query, (first, last_seq))
    except sqlite3.Error as error:
        _raise_unless_damage(error)


def _rows_singly(db: sqlite3.Connection, numbers: range) -> Iterator[StoredRow]:
    """Look up rows one by one, so that a damaged page hides only its own rows."""
    misses = 0
    for seq in numbers:
        row: StoredRow | None = None
        try:
            row = db.execute(f"{_COLUMNS} WHERE seq = ?", (seq,)).fetchone()
        except sqlite3.Error as error:
            _raise_unless_damage(error)
        misses = 0 if row is not None else misses + 1
        if row is not None:
            yield row
        if misses >= _MAX_MISSES:
            return


def _raise_unless_damage(error: sqlite3.Error) -> None:
    if not is_damage(error):
        raise StorageError(f"the journal cannot be read: {error}") from error


def is_sound(kind: Any, payload: Any, crc: Any) -> bool:
    """Whether a stored row is an entry that matches its checksum."""
    return _problem(kind, payload, crc) is None


def _problem(kind: Any, payload: Any, crc: Any) -> str | None:
    if kind not in (INTENT, RESULT) or not isinstance(payload, bytes):
        return "not a journal entry"
    if checksum(kind, payload) != crc:
        return "checksum does not match"
    return None


def quarantine(db: sqlite3.Connection, damaged: list[Damage]) -> None:
    """Move damaged entries to the quarantine table, where they are never read as answers."""
    for item in damaged:
        db.execute(
            "INSERT OR REPLACE INTO quarantine SELECT seq, kind, payload, crc FROM entry "
            "WHERE seq = ?",
            (item.seq,),
        )
        db.execute("DELETE FROM entry WHERE seq = ?", (item.seq,))


def read_quarantine(db: sqlite3.Connection) -> list[Damage]:
    """Entries that were moved to the quarantine table earlier."""
    query = "SELECT seq, length(payload) FROM quarantine ORDER BY seq"
    try:
        return [Damage(seq, "set aside earlier", size or 0) for seq, size in db.execute(query)]
    except sqlite3.Error as error:
        if not is_damage(error) and "no such table" not in str(error):
            raise StorageError(f"the journal cannot be read: {error}") from error
        return []
