"""Atomic and durable file writes: temporary file, fsync, rename, fsync of the folder.

A reader sees the old file or the new one, never a part of it. All operations that durability rests
on are in this module, so that tests can make them fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from evalharness.errors import StorageError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
USER_FILE_MODE = 0o666  # of a file that the user named; the umask is applied


class FileOps:
    """The system calls; tests replace them by some that fail at the n-th call."""

    def fsync(self, fd: int) -> None:
        """Flush what was written to the disk."""
        os.fsync(fd)

    def replace(self, source: Path, target: Path) -> None:
        """Put one file in the place of another, atomically."""
        source.replace(target)


ops = FileOps()


def make_folder(path: Path) -> None:
    """Create a folder (and its parents) that only its owner can read."""
    path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)


def sync_folder(path: Path) -> None:
    """Make renames and deletions in a folder durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        ops.fsync(fd)
    finally:
        os.close(fd)


def temporary_for(target: Path) -> Path:
    """The temporary path for a file: ``.name.tmp`` in the same folder."""
    return target.with_name(f".{target.name}.tmp")


def write_durably(target: Path, write: Callable[[Path], None]) -> None:
    """Write a temporary file with ``write(path)``, sync it, and rename it to its target.

    Raises:
        StorageError: the disk refused; the target is untouched, the temporary file is removed.
    """
    temporary = temporary_for(target)
    try:
        write(temporary)
        fd = os.open(temporary, os.O_RDONLY)
        try:
            ops.fsync(fd)
        finally:
            os.close(fd)
        ops.replace(temporary, target)
        sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or str(error)
        raise StorageError(f"cannot write {target.name}: {reason}") from error


def write_bytes_durably(target: Path, content: bytes, *, mode: int = FILE_MODE) -> None:
    """Replace a small file atomically and durably; the umask is applied to ``mode``."""

    def write(path: Path) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(content)

    write_durably(target, write)
