"""What a journal holds: entries with their checksums, written as rows and read back with distrust.

Each entry carries a CRC-32 of its kind and payload. One that does not match is never returned: it
is reported as :class:`Damage` and, by the writer, moved to the ``quarantine`` table. Where whole
pages of the file cannot be read, the entries on all other pages are still found.
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
# So many rows are one statement, whose transaction needs no BEGIN and COMMIT of its own.
AT_ONCE = 64
INTENT, RESULT = 1, 2

SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seal (part INTEGER PRIMARY KEY, upto INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS quarantine (
    seq INTEGER PRIMARY KEY, kind INTEGER, payload BLOB, crc INTEGER);
"""
# Rows a statement, at most: SQLite gives up and takes back the interpreter's lock once a statement,
# and each return waits for its turn. What is left over goes in one more statement.
_AT_ONCE = (512, AT_ONCE)
_INSERT = "INSERT INTO entry (kind, payload, crc) VALUES "
_INSERTS = {n: _INSERT + ", ".join(["(?, ?, ?)"] * n) for n in (512, *range(1, AT_ONCE + 1))}
_COLUMNS = "SELECT seq, kind, payload, crc FROM entry"
# Within damage, looking for entries one by one ends after so many numbers without one: more than a
# page that leads to a few hundred others can hide.
_MOST_MISSES = 20_000
_TWICE = "a damaged page leads to the same entries twice"

_encoder = msgspec.msgpack.Encoder(decimal_format="string")
_decode_intent = msgspec.msgpack.Decoder(Intent).decode
_decode_result = msgspec.msgpack.Decoder(AttemptResult).decode

Row = tuple[int, bytes, int]
# seq, kind, payload and crc as they lie in the file, which may be anything.
Stored = tuple[int, Any, Any, Any]


class Entry(NamedTuple):
    """One journal row, checked and decoded."""

    seq: int
    value: Intent | AttemptResult


class Damage(NamedTuple):
    """Something in a journal that cannot be trusted or read.

    ``seq`` is the row's number, 0 for damage that is not one row's; ``size`` is the payload's
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
    """Append rows in order, many a statement.

    More than :data:`AT_ONCE` rows need the caller's transaction to be written whole or not at all.
    """
    start = 0
    while start < len(rows):
        left = len(rows) - start
        n = next((n for n in _AT_ONCE if left >= n), left)
        values = itertools.chain.from_iterable(rows[start : start + n])
        db.execute(_INSERTS[n], tuple(values))
        start += n


def checksum(kind: int, payload: bytes) -> int:
    """CRC-32 over the kind and the payload, so that neither can change unseen."""
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
        # Being created, or left so by a kill: a rollback journal is in use before the first entry.
        name: str = getattr(error, "sqlite_errorname", "")
        if "no such table" in str(error) or name == "SQLITE_READONLY_ROLLBACK":
            return None
        raise unreadable(path, error) from error
    return db


def unreadable(path: Path, error: sqlite3.Error) -> StorageError:
    """The error for a journal that cannot be opened, with the way on for a person to decide."""
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
    """Whether an error says that the file is not what was written, rather than busy or full."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ"))


def read_entries(
    db: sqlite3.Connection, *, damage: list[Damage], upto: int | None = None
) -> Iterator[Entry]:
    """Yield every sound entry in order; what is damaged goes to ``damage`` and is not returned.

    Raises:
        StorageError: the journal cannot be read for another reason than damage.
    """
    for seq, kind, payload, crc in read_rows(db, damage=damage, upto=upto):
        problem = _problem(kind, payload, crc)
        if problem is None:
            try:
                decode = _decode_intent if kind == INTENT else _decode_result
                value = decode(payload)
            except msgspec.MsgspecError as error:
                problem = f"does not decode: {error}"
            else:
                yield Entry(seq, value)
                continue
        damage.append(Damage(seq, problem, len(payload) if isinstance(payload, bytes) else 0))


def read_rows(
    db: sqlite3.Connection, *, damage: list[Damage], upto: int | None = None
) -> Iterator[Stored]:
    """Yield rows as they are stored, unchecked, also past pages that cannot be read.

    A damaged page may lead to another one twice; each row is given once.
    """
    seen: set[int] = set()
    for row in _rows(db, damage, 2**62 if upto is None else upto):
        if row[0] not in seen:
            seen.add(row[0])
            yield row
        elif not any(item.seq == 0 and item.reason == _TWICE for item in damage):
            damage.append(Damage(0, _TWICE))


def _rows(db: sqlite3.Connection, damage: list[Damage], most: int) -> Iterator[Stored]:
    """From the front to the damage, what lies within it row by row, and from the end back to it."""
    last = 0
    try:
        for row in db.execute(f"{_COLUMNS} WHERE seq <= ? ORDER BY seq", (most,)):
            last = row[0]
            yield row
        return
    except sqlite3.Error as error:
        _only_damage(error)
        damage.append(Damage(0, f"a part of the file, after entry {last}, cannot be read: {error}"))
    behind = list(_from_the_end(db, last + 1, most))
    first = behind[-1][0] if behind else most + 1
    yield from _one_by_one(db, range(last + 1, first))
    if behind:
        yield from _one_by_one(db, range(first - 1, last, -1))
    yield from reversed(behind)


def _from_the_end(db: sqlite3.Connection, first: int, most: int) -> Iterator[Stored]:
    query = f"{_COLUMNS} WHERE seq BETWEEN ? AND ? ORDER BY seq DESC"
    try:
        yield from db.execute(query, (first, most))
    except sqlite3.Error as error:
        _only_damage(error)


def _one_by_one(db: sqlite3.Connection, numbers: range) -> Iterator[Stored]:
    """Look rows up singly: a damaged page then hides its own rows only."""
    misses = 0
    for seq in numbers:
        row: Stored | None = None
        try:
            row = db.execute(f"{_COLUMNS} WHERE seq = ?", (seq,)).fetchone()
        except sqlite3.Error as error:
            _only_damage(error)
        misses = 0 if row is not None else misses + 1
        if row is not None:
            yield row
        if misses >= _MOST_MISSES:
            return


def _only_damage(error: sqlite3.Error) -> None:
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
    """Move damaged entries aside, so that they are kept but never read as answers."""
    for item in damaged:
        db.execute(
            "INSERT OR REPLACE INTO quarantine SELECT seq, kind, payload, crc FROM entry "
            "WHERE seq = ?",
            (item.seq,),
        )
        db.execute("DELETE FROM entry WHERE seq = ?", (item.seq,))


def quarantined(db: sqlite3.Connection) -> list[Damage]:
    """Entries that were set aside earlier."""
    query = "SELECT seq, length(payload) FROM quarantine ORDER BY seq"
    try:
        return [Damage(seq, "set aside earlier", size or 0) for seq, size in db.execute(query)]
    except sqlite3.Error as error:
        if not is_damage(error) and "no such table" not in str(error):
            raise StorageError(f"the journal cannot be read: {error}") from error
        return []
