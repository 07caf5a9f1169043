"""A reserve of disk space, so that answers already paid for can be saved when the disk is full.

It is as large as all answers in flight may be together: by an estimate at the start, then by the
largest answers received. Reserving ``limits.max_response_mib`` for each request would be far too
much for answers of a few kilobytes.
"""

from __future__ import annotations

import errno
import heapq
import os
from collections.abc import Iterable
from pathlib import Path

from evalharness.errors import StorageError
from evalharness.parameters import output_limit
from evalharness.records import Setting

RESERVE_BYTES = 16 * 2**20
# For partly filled pages, the B-tree above them and the index of the write-ahead log.
_MARGIN = 1.1
# With fewer entries than this, one large answer is no reason to stop sending.
_SAMPLE_SIZE = 16
# What an answer takes in the journal: as text and as the server's JSON, with its request.
_ENVELOPE_BYTES = 16 * 1024
_BYTES_PER_TOKEN = 8
# A disk with less free space than this counts as full: a journal write needs a few pages.
_PROBE_BYTES = 64 * 1024


def expected_answer_bytes(settings: Iterable[Setting]) -> int:
    """Estimated size in the journal of the longest answer that the settings allow."""
    params = (setting.params for setting in settings)
    longest = max(((output_limit(p) or 0) * (p.get("n") or 1) for p in params), default=0)
    return _ENVELOPE_BYTES + longest * _BYTES_PER_TOKEN


class DiskReserve:
    """A file of allocated blocks; :meth:`release` deletes it, once, to make room.

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
        """Reserved bytes."""
        return self._size

    def allocate(self) -> None:
        """Allocate the blocks.

        Raises:
            StorageError: there is no room for the reserve; nothing was sent yet.
        """
        try:
            _allocate(self._path, self._size)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            raise self._no_room(self._size, error) from error

    def expect(self, in_flight: int, entry_bytes: int) -> None:
        """Make it large enough for ``in_flight`` entries of ``entry_bytes`` each.

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

    def grow_for(self, entries: Iterable[int]) -> bool:
        """Adapt the reserve to entries of these sizes in bytes; False if the disk has no room.

        The reserve must hold as many of the largest entries so far as may be in flight.
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
            self._grow(wanted + wanted // 4)  # so that slightly larger answers need no new growth
        except OSError:
            try:
                self._grow(wanted)
            except OSError:
                return seen < min(_SAMPLE_SIZE, self._in_flight)
        return True

    def release(self) -> bool:
        """Free the blocks; False when that was done before."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True

    def is_disk_full(self) -> bool:
        """Whether the disk or a quota has no room for a few more pages."""
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
            os.truncate(self._path, self._size)  # give back the blocks that were allocated
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
        for offset in range(os.fstat(fd).st_size, size, len(block)):
            os.pwrite(fd, block[: size - offset], offset)
    finally:
        os.close(fd)
