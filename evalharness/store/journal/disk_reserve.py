"""Disk space set aside, so that answers already paid for can be saved when the disk fills up.

It is as large as what is in flight may come to: at the start by what answers are thought to take,
then by the largest that came. An answer may have ``limits.max_response_mib``, and nobody wants
that much a request set aside for answers of a few kilobytes.
"""

from __future__ import annotations

import errno
import heapq
import os
from collections.abc import Iterable
from pathlib import Path

from evalharness.errors import StorageError
from evalharness.records import Setting

RESERVE_BYTES = 16 * 2**20
# For pages that are not full, the tree above them and the log's own index.
_MARGIN = 1.1
# One large answer among the first few says little about the others.
_ENOUGH_SEEN = 16
# What an answer takes in the journal: as text and as the server's JSON, with its request.
_BYTES_AROUND = 16 * 1024
_BYTES_PER_TOKEN = 8
# Less free than this is full: a write that was refused asked for a page of the journal.
_PROBE_BYTES = 64 * 1024


def answer_bytes(settings: Iterable[Setting]) -> int:
    """About how large the longest answer is that settings ask for, as far as they tell."""
    each = (setting.params for setting in settings)
    most = max(((p.get("max_tokens") or 0) * (p.get("n") or 1) for p in each), default=0)
    return _BYTES_AROUND + most * _BYTES_PER_TOKEN


class Reserve:
    """A file of real blocks. :meth:`release` deletes it, once, to make room.

    Args:
        path: the file.
        size: bytes to begin with.
    """

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size = size
        self._in_flight = 1
        self._largest: list[int] = []  # a heap of as many entries as may be in flight
        self._largest_sum = 0

    @property
    def size(self) -> int:
        """Bytes set aside."""
        return self._size

    def make(self) -> None:
        """Allocate the blocks.

        Raises:
            StorageError: there is not even room for the reserve; nothing was sent yet.
        """
        try:
            _allocate(self._path, self._size)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            raise self._no_room(self._size, error) from error

    def expect(self, in_flight: int, entry_bytes: int) -> None:
        """Make it large enough for so many entries at once of so many bytes each.

        Raises:
            StorageError: there is no room for that; nothing was sent yet.
        """
        self._in_flight = in_flight
        wanted = round(in_flight * entry_bytes * _MARGIN)
        if wanted > self._size:
            try:
                self._grow(wanted)
            except OSError as error:
                raise self._no_room(wanted, error) from error

    def keep_up(self, entries: Iterable[int]) -> bool:
        """Take note of entries' sizes in bytes; False where there is no room to set aside any more.

        Wanted is room for as many of the largest entries seen as may be in flight.
        """
        for size in entries:
            if len(self._largest) < self._in_flight:
                heapq.heappush(self._largest, size)
                self._largest_sum += size
            elif size > self._largest[0]:
                self._largest_sum += size - heapq.heapreplace(self._largest, size)
        seen = len(self._largest)
        if not seen:
            return True
        wanted = round(self._largest_sum / seen * self._in_flight * _MARGIN)
        if wanted <= self._size:
            return True
        try:
            self._grow(wanted + wanted // 4)  # not again for every answer a little larger
        except OSError:
            try:
                self._grow(wanted)
            except OSError:
                return seen < min(_ENOUGH_SEEN, self._in_flight)
        return True

    def release(self) -> bool:
        """Give the blocks back; False when that was done before."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True

    def is_starved(self) -> bool:
        """Whether there is no room for a few pages more, on the disk or in a quota."""
        probe = self._path.with_name("probe.bin")
        try:
            _allocate(probe, _PROBE_BYTES)
        except OSError as error:
            return error.errno in (errno.ENOSPC, errno.EDQUOT)
        finally:
            probe.unlink(missing_ok=True)
        return False

    def _grow(self, size: int) -> None:
        try:
            _allocate(self._path, size)
        except OSError:
            os.truncate(self._path, self._size)  # what it got of the new blocks
            raise
        self._size = size

    def _no_room(self, size: int, error: OSError) -> StorageError:
        return StorageError(
            f"no room for the {size / 2**20:.0f} MiB reserve in {self._path.parent}, for answers "
            f"in flight when the disk fills up: {error.strerror}",
            hint="free some space, set results_dir=… to another disk, or lower limits.concurrency",
        )


def _allocate(path: Path, size: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
            return
        block = bytes(2**20)  # a sparse file would reserve nothing
        for at in range(os.fstat(fd).st_size, size, len(block)):
            os.pwrite(fd, block[: size - at], at)
    finally:
        os.close(fd)
