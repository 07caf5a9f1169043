"""Entries in the write-ahead log past a damaged frame, which SQLite itself no longer reads.

SQLite takes the first frame that does not match for the end of the log. Each frame holds a whole
page, though, and its checksum can be verified alone, given the one its predecessor stores: the
sound frames are laid over a copy of the main file, and the entries found there, each with a
checksum of its own, are what undamaged frames still say.
(https://sqlite.org/fileformat2.html#walformat)
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from evalharness.store.folder import durable_files
from evalharness.store.journal.journal_format import Damage, is_sound, read_rows

WAL_HEADER, FRAME_HEADER = 32, 24
_DEFAULT_PAGE = 4096
_MAGIC = b"\x37\x7f\x06"  # then 0x82 or 0x83
_VERSIONS = slice(18, 20)  # of a database file: 2 says write-ahead log, 1 says none

Checksum = tuple[int, int]


class Frame(NamedTuple):
    """One frame's header: its number and offset, its page, the size of the database it commits."""

    number: int  # from 1
    at: int
    page: int
    commits: int
    salt: bytes
    stored: bytes  # its checksum


def page_size(header: bytes) -> int:
    """The log's page size; the usual one where its header is damaged."""
    size = int.from_bytes(header[8:12], "big")
    return size if size in {2**n for n in range(9, 17)} else _DEFAULT_PAGE


def frames(fd: int, header: bytes, size: int) -> list[Frame]:
    """The frames of the current log, unchecked. Older ones, with other salts, may lie behind."""
    if len(header) < WAL_HEADER:
        return []
    step = FRAME_HEADER + page_size(header)
    found: list[Frame] = []
    for number, at in enumerate(range(WAL_HEADER, size - step + 1, step), start=1):
        raw = os.pread(fd, FRAME_HEADER, at)
        page, commits = struct.unpack(">2I", raw[:8])
        found.append(Frame(number, at, page, commits, raw[8:16], raw[16:24]))
    salt = header[16:24] if _is_whole(header) else _first_common(f.salt for f in found)
    return [frame for frame in found if frame.salt == salt]


def _first_common(salts: Iterator[bytes]) -> bytes:
    """The first salt that is not one frame's alone: a damaged frame differs from all others."""
    counts = Counter(salts)
    several = (salt for salt, count in counts.items() if count > 1 and any(salt))
    return next(several, next(iter(counts), b""))


def _is_whole(header: bytes) -> bool:
    if header[:3] != _MAGIC:
        return False
    return header[24:32] == struct.pack(">2I", *_checksum(header[:24], (0, 0), header))


def _checksum(data: bytes, start: Checksum, header: bytes) -> Checksum:
    """SQLite's checksum; its byte order is in the last bit of the log's magic number."""
    words = struct.unpack(f"{'>' if header[3] & 1 else '<'}{len(data) // 4}I", data)
    first, second = start
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second


def salvage(path: Path) -> list[tuple[int, int, bytes, int]]:
    """Sound entries of the journal with all sound frames of its log applied, as stored rows.

    Empty where that cannot be done. The journal itself is only read.
    """
    aside = durable_files.temporary_for(path.with_name("salvage"))
    try:
        with suppress(OSError, sqlite3.Error):
            shutil.copyfile(path, aside)
            aside.chmod(durable_files.FILE_MODE)
            with Path(f"{path}-wal").open("rb") as log, aside.open("r+b") as copy:
                _apply(log.fileno(), copy.fileno())
            uri = f"{aside.resolve().as_uri()}?mode=ro&immutable=1"
            with closing(sqlite3.connect(uri, uri=True)) as db:
                ignored: list[Damage] = []
                return [row for row in read_rows(db, damage=ignored) if is_sound(*row[1:])]
        return []
    finally:
        aside.unlink(missing_ok=True)


def _apply(log: int, copy: int) -> None:
    """Write the page of every sound frame into the copy, in order, and make it no log's file."""
    size = os.fstat(log).st_size
    header = os.pread(log, WAL_HEADER, 0)
    length, before = page_size(header), header[24:32]
    for frame in frames(log, header, size):
        page = os.pread(log, length, frame.at + FRAME_HEADER)
        start = struct.unpack(">2I", before)
        begun = _checksum(os.pread(log, 8, frame.at), (start[0], start[1]), header)
        if struct.pack(">2I", *_checksum(page, begun, header)) == frame.stored and frame.page:
            os.pwrite(copy, page, (frame.page - 1) * length)
        before = frame.stored
    os.pwrite(copy, b"\x01\x01", _VERSIONS.start)
