"""Access to a folder of an object store (a results root given by URL), with pyarrow's filesystems.

Objects are written atomically: S3 shows an upload when it is complete, and on a shared path a
temporary file is renamed. Every upload is read back, and its SHA-256 compared. Credentials come
from where pyarrow and AWS look for them (environment, profile, instance role). Writes of which only
one may succeed are conditional (:mod:`.conditional`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlunsplit

from evalharness.errors import StorageError
from evalharness.store.folder import durable_files
from evalharness.store.remote.addresses import check_url
from evalharness.store.remote.conditional import (
    ConditionalStore,
    PathStore,
    S3Store,
    Versioned,
)

T = TypeVar("T")

_CHUNK = 2**20
# Waits between attempts, in seconds; pyarrow itself retries three times, quickly.
_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)


def _upload(fs: Any, key: str, chunks: Iterator[bytes]) -> None:
    """Write an object whose chunks may fail to be read half-way.

    Closing a stream makes an object of what was written so far, and pyarrow cannot abort one. So
    the stream is opened when the first chunk has been read, and an incomplete object is deleted.
    """
    chunk = next(chunks, b"")
    reading = False
    try:
        with fs.open_output_stream(key) as stream:
            while chunk:
                stream.write(chunk)
                reading = True
                chunk = next(chunks, b"")
                reading = False
    except BaseException:
        if reading:  # if writing failed instead, the store has kept the old object
            with suppress(OSError):
                fs.delete_file(key)
        raise


class _ReadError(Exception):
    """Reading from the store failed; ``__cause__`` is the store's error."""


class RemoteFolder:
    """A folder of an object store.

    Args:
        url: ``s3://bucket/folder?endpoint_override=…`` as pyarrow takes it, or ``file:///path``.

    Raises:
        ConfigError: see :func:`.addresses.check_url`.
    """

    def __init__(self, url: str) -> None:
        parts = check_url(url)
        self._parts = parts._replace(path=parts.path.rstrip("/"))
        self.retries = True  # whether a failed request is tried again
        self._is_down = False  # whether retries were of no use the last time
        self._filesystem: tuple[Any, str] | None = None
        self._conditional_store: ConditionalStore | None = None

    @property
    def url(self) -> str:
        """The folder's URL."""
        return urlunsplit(self._parts)

    def child(self, name: str) -> RemoteFolder:
        """A folder inside this one."""
        return RemoteFolder(urlunsplit(self._parts._replace(path=f"{self._parts.path}/{name}")))

    def put(self, name: str, path: Path) -> str:
        """Upload a file and read it back; its SHA-256.

        Raises:
            StorageError: the store refused, or returns other content.
        """
        return self._retry(name, lambda: self._put(name, path))

    def write(self, name: str, content: bytes) -> None:
        """Replace a small object, and read it back."""
        self._retry(name, lambda: self._write(name, content))

    def read_versioned(self, name: str) -> Versioned | None:
        """A small object and its version; None if there is none."""
        return self._retry(name, lambda: self._conditional().read(name))

    def create(self, name: str, content: bytes) -> bool:
        """Write a new object, and read it back; False if there is another of this name already.

        Raises:
            StorageError: the store refused, or cannot create without overwriting.
        """
        return self._retry(name, lambda: self._write_if(name, content, None))

    def check_conditions(self, name: str, content: bytes) -> None:
        """Create an object that is there already; its content stays as it is in any case.

        Raises:
            StorageError: the store took it: it overwrites whatever the condition says.
        """
        if self._retry(name, lambda: self._conditional().create(name, content)):
            raise StorageError(
                f"{self.url}: the store overwrites an object that was to be created only if there "
                "is none (PUT with If-None-Match: *), so it cannot tell who may write the run",
                hint="another store, or results_dir=PATH on this machine",
            )

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """Replace an object, and read it back; False if it is another version by now."""
        return self._retry(name, lambda: self._write_if(name, content, version))

    def read(self, name: str) -> bytes | None:
        """The content of a small object; None if there is none."""

        def read() -> bytes | None:
            fs, root = self._fs()
            try:
                with fs.open_input_stream(f"{root}/{name}") as stream:
                    return stream.read()
            except FileNotFoundError:
                return None

        return self._retry(name, read)

    def fetch(self, name: str, target: Path, *, sha256: str | None = None) -> str:
        """Download an object to a file, atomically; its SHA-256.

        Raises:
            StorageError: there is no such object, its hash differs, or the disk refused.
        """

        def copy(path: Path) -> None:
            nonlocal digest
            sha = hashlib.sha256()
            with path.open("wb") as file:
                path.chmod(durable_files.FILE_MODE)
                for chunk in self._chunks(name):
                    sha.update(chunk)
                    file.write(chunk)
            digest = sha.hexdigest()
            if sha256 is not None and digest != sha256:
                raise StorageError(
                    f"{self.url}/{name} is not what was sealed (its SHA-256 differs)",
                    hint="put a copy of it back if the store keeps versions",
                )

        digest = ""
        durable_files.make_folder(target.parent)
        self._retry(name, lambda: durable_files.write_durably(target, copy))
        return digest

    def list_names(self) -> list[str]:
        """Names of all objects in the folder, at any depth, relative to it.

        Without those that begin with a dot: on a shared path they are temporary files and locks.
        """
        from pyarrow import fs as filesystems

        def list_files() -> list[str]:
            fs, root = self._fs()
            selector = filesystems.FileSelector(root, recursive=True, allow_not_found=True)
            entries = fs.get_file_info(selector)
            names = [f.path[len(root) + 1 :] for f in entries if f.is_file]
            return [name for name in names if not name.rpartition("/")[2].startswith(".")]

        return sorted(self._retry("", list_files))

    def list_folders(self) -> list[str]:
        """Names of the folders directly in this one; those that begin with a dot are left out."""
        from pyarrow import fs as filesystems

        def list_directories() -> list[str]:
            fs, root = self._fs()
            entries = fs.get_file_info(filesystems.FileSelector(root, allow_not_found=True))
            names = [f.path.rpartition("/")[2] for f in entries if not f.is_file]
            return [name for name in names if not name.startswith(".")]

        return sorted(self._retry("", list_directories))

    def _fs(self) -> tuple[Any, str]:
        if self._filesystem is None:
            from pyarrow import fs as filesystems

            opener: Any = filesystems.FileSystem
            self._filesystem = opener.from_uri(self.url)
        assert self._filesystem is not None
        return self._filesystem

    def _conditional(self) -> ConditionalStore:
        if self._conditional_store is None:
            fs, root = self._fs()
            if self._parts.scheme == "file":
                self._conditional_store = PathStore(Path(root))
            else:
                self._conditional_store = S3Store(self._parts, fs.region)
        return self._conditional_store

    def _write_if(self, name: str, content: bytes, version: str | None) -> bool:
        """Write if the object is that version (None: if there is none); then read it back.

        Of two such writes with other content, at most one is answered with True. An attempt whose
        answer was lost looks like another's success; so the content decides.
        """
        store = self._conditional()
        if version is None:
            written = store.create(name, content)
        else:
            written = store.replace(name, content, version)
        stored = store.read(name, expected_bytes=len(content))
        if stored is not None and stored.content == content:
            return True
        if written and version is None and stored is None:
            raise StorageError(f"{self.url}/{name} does not read back as it was sent")
        return False

    def _put(self, name: str, path: Path) -> str:
        fs, root = self._fs()
        sent_hash = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    sent_hash.update(chunk)
                    yield chunk

        self._store(fs, f"{root}/{name}", chunks())
        read_hash = hashlib.sha256()
        for chunk in self._chunks(name):
            read_hash.update(chunk)
        if read_hash.digest() != sent_hash.digest():
            raise StorageError(f"{self.url}/{name} does not read back as it was sent")
        return sent_hash.hexdigest()

    def _write(self, name: str, content: bytes) -> None:
        fs, root = self._fs()
        self._store(fs, f"{root}/{name}", iter([content]))
        if self.read(name) != content:
            raise StorageError(f"{self.url}/{name} does not read back as it was sent")

    def _store(self, fs: Any, key: str, chunks: Iterator[bytes]) -> None:
        def write(stream: Any) -> None:
            for chunk in chunks:
                stream.write(chunk)

        if self._parts.scheme == "file":
            target = Path(key)
            durable_files.make_folder(target.parent)

            def write_file(path: Path) -> None:
                with path.open("wb") as file:
                    write(file)

            try:
                durable_files.write_durably(target, write_file)
            except StorageError as error:  # here the disk is the store, so the write is retried
                if isinstance(error.__cause__, OSError):
                    raise error.__cause__ from None
                raise
            return
        _upload(fs, key, chunks)

    def _chunks(self, name: str) -> Iterator[bytes]:
        """The content of an object, in chunks.

        Raises:
            _ReadError: the store refused; an OSError would look like one of the local disk.
        """
        fs, root = self._fs()
        try:
            with fs.open_input_stream(f"{root}/{name}") as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise _ReadError from error

    def _retry(self, name: str, action: Callable[[], T]) -> T:
        """Run an action; retry it after a wait if the store or the network fails.

        After a failure for good, each further action is tried once until one succeeds: a run that
        ends because its store is down is not to wait for it at every step.
        """
        waits = iter(_WAITS_S if self.retries and not self._is_down else ())
        while True:
            try:
                result = action()
            except (OSError, _ReadError, ValueError) as error:
                cause = error.__cause__ if isinstance(error, _ReadError) else error
                wait_s = next(waits, None)
                if wait_s is None or isinstance(cause, (FileNotFoundError, ValueError)):
                    self._is_down |= wait_s is None and self.retries
                    raise self._storage_error(name, cause) from error
            else:
                self._is_down = False
                return result
            time.sleep(wait_s)

    def _storage_error(self, name: str, error: BaseException | None) -> StorageError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        address = f"{self.url}/{name}" if name else self.url
        return StorageError(
            f"{address}: {reason}",
            hint="look at the address, the network and the credentials in the environment "
            "(AWS_ACCESS_KEY_ID …), then run it again",
        )
