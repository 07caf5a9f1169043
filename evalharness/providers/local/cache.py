"""The cache folder of this user, and hashes of large files remembered between commands."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from evalharness.records import digest

CACHE_VARIABLE = "EVALHARNESS_CACHE"


def cache_folder() -> Path:
    """Where model weights are kept: ``$EVALHARNESS_CACHE``, or the platform's cache folder.

    The folder need not exist yet.
    """
    folder = os.environ.get(CACHE_VARIABLE)
    if folder:
        return Path(folder).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("evalharness")


class _FileHash(msgspec.Struct, frozen=True):
    path: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex.

    The result is remembered in the cache folder under the file's path, size, time of change and
    inode, so that a model of many gigabytes is read once and not at each command. A cache folder
    that cannot be written only costs that time.

    Raises:
        OSError: the file cannot be read.
    """
    path = path.resolve()
    before = path.stat()
    marker = cache_folder() / "hashes" / f"{digest(os.fsencode(path))}.json"
    with contextlib.suppress(OSError, msgspec.DecodeError):
        known = msgspec.json.decode(marker.read_bytes(), type=_FileHash)
        now = (str(path), before.st_size, before.st_mtime_ns, before.st_ino)
        if (known.path, known.size, known.mtime_ns, known.inode) == now:
            return known.sha256
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
        file_hash = _FileHash(str(path), after.st_size, after.st_mtime_ns, after.st_ino, sha256)
        with contextlib.suppress(OSError):
            _write_atomically(marker, msgspec.json.encode(file_hash))
    return sha256


def _write_atomically(path: Path, data: bytes) -> None:
    """Write a small file so that a reader sees either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
