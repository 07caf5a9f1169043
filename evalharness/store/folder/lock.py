"""The lock of a run folder: one process writes it at a time.

An ``flock`` on ``run.lock``, which the kernel releases however the process ends; the file itself
stays. Readers need no lock.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path

from evalharness.errors import ConfigError, RunInUseError, StorageError
from evalharness.store.folder import durable_files

LOCK = "run.lock"
_PROCESS = re.compile(r"process ([0-9]{1,10}) on (.+)")
_HELPER_WAIT_S = 10.0


def lock_existing(root: Path) -> int | None:
    """Take the lock of a run folder that exists; None for a new run.

    Done before the plan is made, so that a second process is refused at once.

    Raises:
        RunInUseError, ConfigError, StorageError: as :meth:`.run_folder.RunFolder.open`.
    """
    return take_lock(root) if (root / LOCK).exists() else None


def take_lock(root: Path) -> int:
    """Create the folder when it is new, and lock it for this process; a file descriptor.

    Raises:
        RunInUseError: another process holds the lock; nothing was changed.
        ConfigError: it is a symbolic link, which may lead out of the results folder.
        StorageError: it cannot be created.
    """
    if root.is_symlink():
        raise ConfigError(
            f"{root} is a symbolic link; a run is written into a folder of its own",
            hint="results_dir=… puts runs elsewhere",
        )
    try:
        return _lock(root)
    except OSError as error:
        raise StorageError(f"cannot open the run folder {root}: {error.strerror}") from error


def _lock(root: Path) -> int:
    durable_files.make_folder(root)
    path = root / LOCK
    lock = os.open(path, os.O_RDWR | os.O_CREAT, durable_files.FILE_MODE)
    if not _try_lock(lock):
        holder = _holder(lock)
        os.close(lock)
        raise RunInUseError(
            f"run folder {root} is being written by {holder or 'another process'}",
            hint="wait for it, or choose another folder with name=…",
        )
    with suppress(OSError):  # only for the error message of a process that is refused
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return lock


def _try_lock(lock: int) -> bool:
    """Take the lock, unless a process that lives has it.

    One that was killed may leave its helper (:mod:`~evalharness.store.parts.seal_process`) with the
    lock for the moment it needs to notice; that moment is waited for.
    """
    until = time.monotonic() + _HELPER_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not _has_ended(_holder(lock)) or time.monotonic() > until:
                return False
            time.sleep(0.01)
        else:
            return True


def _holder(lock: int) -> str:
    """The process that holds the lock, as it wrote itself into the lock file."""
    return os.pread(lock, 200, 0).decode(errors="replace").strip()


def holder_has_ended(root: Path) -> bool:
    """Whether the process that last wrote a run folder is known not to exist any more.

    The lock itself is not tried, which could refuse a process that begins at this moment.
    """
    try:
        holder = (root / LOCK).read_bytes()[:200].decode(errors="replace")
    except OSError:
        return False
    return _has_ended(holder.strip())


def _has_ended(holder: str) -> bool:
    """Whether the holder is a process of this machine that does not exist any more."""
    match = _PROCESS.fullmatch(holder)
    if match is None or match[2] != socket.gethostname():
        return False
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
