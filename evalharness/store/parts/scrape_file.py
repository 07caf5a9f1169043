"""What was read of servers' metrics: texts as they came while a run goes on, a table afterwards.

A reading is written as it came, since taking it apart would disturb what is measured. ``NNNN.raw``
holds one MessagePack frame a reading, with its length before it; a frame that was cut off by a kill
is the last one, and is left out. The table that replaces it is written durably first.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from evalharness.errors import StorageError
from evalharness.store.folder.durable_files import make_folder, sync_folder

FOLDER = "server_metrics"
_RAW = re.compile(r"(\d{4,})\.raw")
_LENGTH = struct.Struct("<I")


class Scrape(msgspec.Struct, array_like=True):
    """One reading of an endpoint.

    Attributes:
        at_ns: when it was asked for, and when it had come (Unix nanoseconds).
        done_ns: the latter.
        endpoint: the name of the endpoint in the configuration.
        text: what it said; None where it did not answer so.
        problem: why not.
    """

    at_ns: int
    done_ns: int
    endpoint: str
    text: bytes | None
    problem: str | None = None


class ScrapeWriter:
    """Appends readings to a file of this session; use it as a context manager."""

    def __init__(self, root: Path) -> None:
        folder = root / FOLDER
        if not folder.is_dir():
            make_folder(folder)
            sync_folder(root)
        self.path = folder / f"{_next_number(folder):04d}.raw"
        self._file: BinaryIO = self.path.open("xb")
        sync_folder(folder)

    def add(self, scrape: Scrape) -> None:
        """Write a reading; it is in the system's cache, and on disk by :meth:`close`.

        Raises:
            StorageError: the disk refused.
        """
        frame = msgspec.msgpack.encode(scrape)
        try:
            self._file.write(_LENGTH.pack(len(frame)) + frame)
            self._file.flush()
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Make everything durable.

        Raises:
            StorageError: the disk refused.
        """
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror or error}") from error


def _next_number(folder: Path) -> int:
    numbers = [int(path.stem) for path in folder.iterdir() if path.stem.isdigit()]
    return max(numbers, default=0) + 1


def raw_files(root: Path) -> list[Path]:
    """The readings of sessions that are no table yet, in order."""
    folder = root / FOLDER
    return sorted(path for path in folder.glob("*.raw") if _RAW.fullmatch(path.name))


def read_scrapes(path: Path) -> Iterator[Scrape]:
    """The whole readings of a file, in order."""
    with path.open("rb") as file:
        while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            frame = file.read(length)
            if len(frame) < length:
                return
            try:
                yield msgspec.msgpack.decode(frame, type=Scrape)
            except msgspec.MsgspecError:
                return
