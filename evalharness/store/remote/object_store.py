"""A results root given by URL: files in an object store, through pyarrow's filesystems.

Objects appear whole or not at all: S3 shows an upload once it is complete, and on a shared path a
file is written aside and renamed. What is put there is read back, and its SHA-256 compared.
Credentials come from where pyarrow and AWS look for them (environment, profile, instance role).
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

#: What can be written to: other schemes of pyarrow's were not tried.
SCHEMES = ("s3", "file")
_CHUNK = 2**20
# Between tries of a request that failed, in seconds; pyarrow itself tries three times, quickly.
_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_EXAMPLE = "results_dir=s3://bucket/folder"
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or AWS_PROFILE"
_BUCKET = re.compile(r"[A-Za-z0-9._-]+")
# What pyarrow takes from a URL's query and a run needs; none of it is secret.
_OPTIONS = (
    "region", "scheme", "endpoint_override", "allow_bucket_creation", "allow_delayed_open",
    "tls_ca_file_path", "tls_ca_dir_path", "tls_verify_certificates",
)  # fmt: skip


def is_url(place: str) -> bool:
    """Whether a results root or a run is named by URL rather than by path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def check_url(url: str) -> SplitResult:
    """Take a URL apart.

    Raises:
        ConfigError: it cannot be written to, or may hold a key, wherever it is: one with a slash in
            it looks like a path. No message shows more than the scheme.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # whose message shows what it cannot read
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
    """Put an object whose content may turn out to be unreadable half-way.

    A stream that is closed makes an object of what it was given, and pyarrow has no other way to
    end one: so nothing is begun before the first chunk is there, and what ends early is deleted.
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
        if reading:  # a store that refuses completes nothing, and keeps what it had
            with suppress(OSError):
                fs.delete_file(key)
        raise


class _ReadError(Exception):
    """Reading from the store failed; the cause is its error."""


class Remote:
    """A folder of an object store.

    Args:
        url: ``s3://bucket/folder?endpoint_override=…`` as pyarrow takes it, or ``file:///path``.

    Raises:
        ConfigError: see :func:`check_url`.
    """

    def __init__(self, url: str) -> None:
        parts = check_url(url)
        self._parts = parts._replace(path=parts.path.rstrip("/"))
        self.patient = True  # False: the first refusal is the last
        self._opened: tuple[Any, str] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return urlunsplit(self._parts)

    def child(self, name: str) -> Remote:
        """A folder inside."""
        return Remote(urlunsplit(self._parts._replace(path=f"{self._parts.path}/{name}")))

    def put(self, name: str, path: Path) -> str:
        """Upload a file and read it back; its SHA-256.

        Raises:
            StorageError: the store refused, or keeps something else.
        """
        return self._try(name, lambda: self._put(name, path))

    def write(self, name: str, content: bytes) -> None:
        """Replace a small object, and read it back."""
        self._try(name, lambda: self._write(name, content))

    def read(self, name: str) -> bytes | None:
        """A small object, None where there is none."""

        def read() -> bytes | None:
            fs, root = self._fs()
            try:
                with fs.open_input_stream(f"{root}/{name}") as stream:
                    return stream.read()
            except FileNotFoundError:
                return None

        return self._try(name, read)

    def fetch(self, name: str, target: Path, *, sha256: str | None = None) -> str:
        """Download an object to a file that appears whole or not at all; its SHA-256.

        Raises:
            StorageError: it is not there, is not what was put there, or the disk refused.
        """

        def copy(path: Path) -> None:
            nonlocal digest
            hashed = hashlib.sha256()
            with path.open("wb") as file:
                path.chmod(durable_files.FILE_MODE)
                for chunk in self._chunks(name):
                    hashed.update(chunk)
                    file.write(chunk)
            digest = hashed.hexdigest()
            if sha256 is not None and digest != sha256:
                raise StorageError(
                    f"{self.url}/{name} is not what was sealed (its SHA-256 differs)",
                    hint="put a copy of it back if the store keeps versions",
                )

        digest = ""
        durable_files.make_folder(target.parent)
        self._try(name, lambda: durable_files.publish(target, copy))
        return digest

    def names(self) -> list[str]:
        """Names of all objects in the folder, at any depth, relative to it."""
        from pyarrow import fs as filesystems

        def listed() -> list[str]:
            fs, root = self._fs()
            selector = filesystems.FileSelector(root, recursive=True, allow_not_found=True)
            found = fs.get_file_info(selector)
            return [f.path[len(root) + 1 :] for f in found if f.type == filesystems.FileType.File]

        return sorted(self._try("", listed))

    def _fs(self) -> tuple[Any, str]:
        if self._opened is None:
            from pyarrow import fs as filesystems

            opener: Any = filesystems.FileSystem
            self._opened = opener.from_uri(self.url)
        assert self._opened is not None
        return self._opened

    def _put(self, name: str, path: Path) -> str:
        fs, root = self._fs()
        sent = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    sent.update(chunk)
                    yield chunk

        self._store(fs, f"{root}/{name}", chunks())
        back = hashlib.sha256()
        for chunk in self._chunks(name):
            back.update(chunk)
        if back.digest() != sent.digest():
            raise StorageError(f"{self.url}/{name} does not read back as it was sent")
        return sent.hexdigest()

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

            def aside(path: Path) -> None:
                with path.open("wb") as file:
                    write(file)

            try:
                durable_files.publish(target, aside)
            except StorageError as error:  # here the disk is the store, and is asked again
                if isinstance(error.__cause__, OSError):
                    raise error.__cause__ from None
                raise
            return
        _upload(fs, key, chunks)

    def _chunks(self, name: str) -> Iterator[bytes]:
        """An object's content; the store's errors are told from those of a disk it is written to.

        Raises:
            _ReadError: the store refused.
        """
        fs, root = self._fs()
        try:
            with fs.open_input_stream(f"{root}/{name}") as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise _ReadError from error

    def _try(self, name: str, do: Callable[[], T]) -> T:
        """Do it, again after a while where the store or the network refuses."""
        waits = iter(_WAITS_S if self.patient else ())
        while True:
            try:
                return do()
            except (OSError, _ReadError, ValueError) as error:
                cause = error.__cause__ if isinstance(error, _ReadError) else error
                wait_s = next(waits, None)
                if wait_s is None or isinstance(cause, (FileNotFoundError, ValueError)):
                    raise self._refused(name, cause) from error
            time.sleep(wait_s)

    def _refused(self, name: str, error: BaseException | None) -> StorageError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        place = f"{self.url}/{name}" if name else self.url
        return StorageError(
            f"{place}: {reason}",
            hint="look at the address, the network and the credentials in the environment "
            "(AWS_ACCESS_KEY_ID …), then run it again",
        )
