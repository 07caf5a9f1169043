"""The few file operations durability rests on, in one place so that tests can make them fail.

A write that must not be half seen goes aside (``.name.tmp``), is synced, renamed over the target
and the folder is synced: a reader sees the old file or the new one, never a part of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from evalharness.errors import StorageError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
NAMED_MODE = 0o666  # of a file that the user named: what the umask leaves


class FileOps:
    """The operating system's own calls; tests substitute one that fails at the n-th."""

    def fsync(self, fd: int) -> None:
        """Ask the disk to keep what was written."""
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
    """Where a file is written before it takes its name."""
    return target.with_name(f".{target.name}.tmp")


def publish(target: Path, write: Callable[[Path], None]) -> None:
    """Write a file aside with ``write(path)``, sync it, and give it its name.

    Raises:
        StorageError: the disk refused; the target is untouched and the file aside is removed.
    """
    aside = temporary_for(target)
    try:
        write(aside)
        fd = os.open(aside, os.O_RDONLY)
        try:
            ops.fsync(fd)
        finally:
            os.close(fd)
        ops.replace(aside, target)
        sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or str(error)
        raise StorageError(f"cannot write {target.name}: {reason}") from error


def publish_bytes(target: Path, content: bytes, *, mode: int = FILE_MODE) -> None:
    """Replace a small file atomically and durably; the umask takes from ``mode`` as ever."""

    def write(path: Path) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(content)

    publish(target, write)
