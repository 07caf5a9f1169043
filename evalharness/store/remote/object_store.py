"""Access to a folder of an object store (a results root given by URL), with pyarrow's filesystems.

Objects are written atomically: S3 shows an upload when it is complete, and on a shared path a
temporary file is renamed. Every upload is read back, and its SHA-256 compared. Credentials come
from where pyarrow and AWS look for them (environment, profile, instance role).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from evalharness.errors import ConfigError, StorageError
from evalharness.store.folder import durable_files

T = TypeVar("T")

#: The supported schemes; pyarrow's others are untested.
SCHEMES = ("s3", "file")
_CHUNK = 2**20
# Waits between attempts, in seconds; pyarrow itself retries three times, quickly.
_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_EXAMPLE = "results_dir=s3://bucket/folder"
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or AWS_PROFILE"
_BUCKET = re.compile(r"[A-Za-z0-9._-]+")
# The options of pyarrow in a URL's query that a run may need; none of them is secret.
_OPTIONS = (
    "region", "scheme", "endpoint_override", "allow_bucket_creation", "allow_delayed_open",
    "tls_ca_file_path", "tls_ca_dir_path", "tls_verify_certificates",
)  # fmt: skip


def is_url(address: str) -> bool:
    """Whether the address of a results root or a run is a URL rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address) is not None


def check_url(url: str) -> SplitResult:
    """Parse and check a URL.

    Raises:
        ConfigError: it cannot be written to, or may contain a secret key, also in its path. No
            message shows more than the scheme.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its message would show the URL
        raise ConfigError("results_dir=…://… cannot be read as a URL", hint=_EXAMPLE) from None
    start = f"results_dir={parts.scheme}://…"
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            f"{start}: only {' and '.join(f'{s}://' for s in SCHEMES)} are supported",
            hint=_EXAMPLE,
        )
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/"):
            raise ConfigError(f"{start}: file:///PATH has three slashes")
        if parts.query or parts.fragment:
            raise ConfigError(f"{start}: a path has no ? and no # in it")
        return parts
    if not parts.netloc:
        raise ConfigError(f"{start} names no bucket", hint=_EXAMPLE)
    if "@" in unquote(url):
        raise ConfigError(f"{start} has an @ in it, as before it a key would be", hint=_CREDENTIALS)
    if not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
        raise ConfigError(f"{start}: what follows is no bucket and folder", hint=_CREDENTIALS)
    if any(name not in _OPTIONS for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ConfigError(
            f"{start} has an option after the ? that is none of {', '.join(_OPTIONS)}",
            hint=_CREDENTIALS,
        )
    return parts


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
        ConfigError: see :func:`check_url`.
    """

    def __init__(self, url: str) -> None:
        parts = check_url(url)
        self._parts = parts._replace(path=parts.path.rstrip("/"))
        self.retries = True  # whether a failed request is tried again
        self._filesystem: tuple[Any, str] | None = None

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
        """Names of all objects in the folder, at any depth, relative to it."""
        from pyarrow import fs as filesystems

        def list_files() -> list[str]:
            fs, root = self._fs()
            selector = filesystems.FileSelector(root, recursive=True, allow_not_found=True)
            entries = fs.get_file_info(selector)
            return [f.path[len(root) + 1 :] for f in entries if f.type == filesystems.FileType.File]

        return sorted(self._retry("", list_files))

    def _fs(self) -> tuple[Any, str]:
        if self._filesystem is None:
            from pyarrow import fs as filesystems

            opener: Any = filesystems.FileSystem
            self._filesystem = opener.from_uri(self.url)
        assert self._filesystem is not None
        return self._filesystem

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
        """Run an action; retry it after a wait if the store or the network fails."""
        waits = iter(_WAITS_S if self.retries else ())
        while True:
            try:
                return action()
            except (OSError, _ReadError, ValueError) as error:
                cause = error.__cause__ if isinstance(error, _ReadError) else error
                wait_s = next(waits, None)
                if wait_s is None or isinstance(cause, (FileNotFoundError, ValueError)):
                    raise self._storage_error(name, cause) from error
            time.sleep(wait_s)

    def _storage_error(self, name: str, error: BaseException | None) -> StorageError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        address = f"{self.url}/{name}" if name else self.url
        return StorageError(
            f"{address}: {reason}",
            hint="look at the address, the network and the credentials in the environment "
            "(AWS_ACCESS_KEY_ID …), then run it again",
        )
