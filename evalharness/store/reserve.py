"""Disk space set aside, so that answers already paid for can be saved when the disk fills up."""

from __future__ import annotations

import os
from pathlib import Path

from evalharness.errors import StorageError

RESERVE_BYTES = 16 * 2**20


class Reserve:
    """A file of real blocks. :meth:`release` deletes it, once, to make room."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size = size

    def make(self) -> None:
        """Allocate the blocks.

        Raises:
            StorageError: there is not even room for the reserve; nothing was sent yet.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _allocate(fd, self._size)
            finally:
                os.close(fd)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            raise StorageError(
                f"no room for the {self._size // 2**20} MiB reserve in {self._path.parent}: "
                f"{error.strerror}",
                hint="free some space, or set results_dir=… to another disk",
            ) from error

    def release(self) -> bool:
        """Give the blocks back; False when that was done before."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True


def _allocate(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    block = bytes(2**20)  # a sparse file would reserve nothing
    for _ in range(size // len(block)):
        os.write(fd, block)
