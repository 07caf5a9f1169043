"""Repair of a damaged write-ahead log: reads entries past a damaged frame, when SQLite cannot.

Called by :mod:`.repair` when commits are missing from an opened journal. SQLite takes the first
frame that does not match for the end of the log. Each frame holds a whole page, though, and its
checksum can be verified with the checksum stored in the frame before it. So the pages of all sound
frames are written over a copy of the main file, and the entries are read from the copy. Each entry
has a checksum of its own. (https://sqlite.org/fileformat2.html#walformat)
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


class WalFrame(NamedTuple):
    """The header of one frame, with its place in the log."""

    number: int  # from 1
    offset: int
    page: int  # number of the page that it holds
    database_size: int  # in pages, of a commit frame; 0 of any other
    salt: bytes
    checksum: bytes


def page_size(header: bytes) -> int:
    """The log's page size; the default if its header is damaged."""
    size = int.from_bytes(header[8:12], "big")
    return size if size in {2**n for n in range(9, 17)} else _DEFAULT_PAGE


def read_frames(fd: int, header: bytes, size: int) -> list[WalFrame]:
    """The frames of the current log, unchecked; older frames after them have another salt."""
    if len(header) < WAL_HEADER:
        return []
    step = FRAME_HEADER + page_size(header)
    all_frames: list[WalFrame] = []
    for number, offset in enumerate(range(WAL_HEADER, size - step + 1, step), start=1):
        head = os.pread(fd, FRAME_HEADER, offset)
        page, database_size = struct.unpack(">2I", head[:8])
        all_frames.append(WalFrame(number, offset, page, database_size, head[8:16], head[16:24]))
    salt = header[16:24] if _is_header_sound(header) else _first_common(f.salt for f in all_frames)
    return [frame for frame in all_frames if frame.salt == salt]


def _first_common(salts: Iterator[bytes]) -> bytes:
    """The first salt that several frames share: a damaged salt differs from all others."""
    counts = Counter(salts)
    repeated = (salt for salt, count in counts.items() if count > 1 and any(salt))
    return next(repeated, next(iter(counts), b""))


def _is_header_sound(header: bytes) -> bool:
    if header[:3] != _MAGIC:
        return False
    return header[24:32] == struct.pack(">2I", *_checksum(header[:24], (0, 0), header))


def _checksum(data: bytes, start: Checksum, header: bytes) -> Checksum:
    """SQLite's checksum; the last bit of the log's magic number gives the byte order."""
    words = struct.unpack(f"{'>' if header[3] & 1 else '<'}{len(data) // 4}I", data)
    first, second = start
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def salvage_wal(path: Path) -> list[tuple[int, int, bytes, int]]:
    """Sound entries of the journal and of all sound frames of its log, as stored rows.

    Empty if that cannot be done. The journal itself is only read.
    """
    temporary = durable_files.temporary_for(path.with_name("salvage"))
    try:
        with suppress(OSError, sqlite3.Error):
            shutil.copyfile(path, temporary)
            temporary.chmod(durable_files.FILE_MODE)
            with Path(f"{path}-wal").open("rb") as log, temporary.open("r+b") as copy:
                _apply(log.fileno(), copy.fileno())
            uri = f"{temporary.resolve().as_uri()}?mode=ro&immutable=1"
            with closing(sqlite3.connect(uri, uri=True)) as db:
                ignored: list[Damage] = []
                return [row for row in read_rows(db, damage=ignored) if is_sound(*row[1:])]
        return []
    finally:
        temporary.unlink(missing_ok=True)


def _apply(log: int, copy: int) -> None:
    """Write the page of every sound frame into the copy, in order, and mark it as without a log."""
    size = os.fstat(log).st_size
    header = os.pread(log, WAL_HEADER, 0)
    length, previous = page_size(header), header[24:32]
    for frame in read_frames(log, header, size):
        page = os.pread(log, length, frame.offset + FRAME_HEADER)
        start = struct.unpack(">2I", previous)
        partial = _checksum(os.pread(log, 8, frame.offset), (start[0], start[1]), header)
        if struct.pack(">2I", *_checksum(page, partial, header)) == frame.checksum and frame.page:
            os.pwrite(copy, page, (frame.page - 1) * length)
        previous = frame.checksum
    os.pwrite(copy, b"\x01\x01", _VERSIONS.start)
