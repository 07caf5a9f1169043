"""The temporary folder of one process, and those that killed processes have left.

A lock on a file in the folder says that its process lives: the kernel releases it however that
process ends, while the number of one that has ended may be another's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PREFIX = "evalharness-view-"
_LOCK = "lock"


class OwnFolder(NamedTuple):
    """A folder of this process, and the file descriptor that holds its lock."""

    path: Path
    lock: int

    def remove(self) -> None:
        """Remove it, with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            os.close(self.lock)


def make_own_folder() -> OwnFolder:
    """A new folder, which is removed by others only after this process has ended.

    Raises:
        OSError: the disk refused.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have found it before it was locked, and removed it.
            if os.fstat(lock).st_nlink:
                return OwnFolder(path, lock)
        OwnFolder(path, lock).remove()


def remove_left_folders() -> None:
    """Remove this user's folders whose processes have ended without removing them."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove_left(path)


def _remove_left(path: Path) -> None:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return
    # A folder without the file is being made at this moment.
    lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
