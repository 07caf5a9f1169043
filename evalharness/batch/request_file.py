"""A file of requests, from its first line until it is durable; and its requests by name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from evalharness.errors import StorageError
from evalharness.store.folder.durable_files import ops, sync_folder, temporary_for
from evalharness.store.journal.batch_files import BatchState


class RequestFile:
    """A file of requests that is being written; close it or discard it.

    Args:
        path: where it will be.

    Attributes:
        requests, bytes, tokens: so far.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, temporary_for(path)
        self._file: BinaryIO = os.fdopen(
            os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
        )
        self._hash = hashlib.sha256()
        self.requests = self.bytes = self.tokens = 0

    @property
    def sha256(self) -> str:
        """Of what was written."""
        return self._hash.hexdigest()

    def add(self, line: bytes, tokens: int) -> None:
        """Write one line.

        Raises:
            StorageError: the disk refused.
        """
        try:
            self._file.write(line)
        except OSError as error:
            raise _refused(self._path, error) from error
        self._hash.update(line)
        self.requests += 1
        self.bytes += len(line)
        self.tokens += tokens

    def close(self) -> None:
        """Make the file durable.

        Raises:
            StorageError: the disk refused.
        """
        try:
            with self._file:
                self._file.flush()
                ops.fsync(self._file.fileno())
            ops.replace(self._temporary, self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise _refused(self._path, error) from error

    def discard(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot write {path.name}: {error.strerror or error}")


def is_as_written(state: BatchState, root: Path) -> bool:
    """Whether the file of requests of a batch is there, byte for byte as it was written."""
    try:
        with state.path(root, ".jsonl").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == state.sha256
    except OSError:
        return False


def restore_requests(state: BatchState, root: Path, lines: Iterable[bytes]) -> None:
    """Write a file of requests again that is missing or was changed.

    Args:
        state: of its batch.
        root: the run folder.
        lines: what the plan says that it held.

    Raises:
        StorageError: these lines are not those of the file.
    """
    path = state.path(root, ".jsonl")
    file = RequestFile(path)
    for line in lines:
        file.add(line, 0)
    if file.sha256 == state.sha256:
        file.close()
        return
    file.discard()
    state_path = state.path(root, ".json")
    raise StorageError(
        f"{path} is missing or was changed: it holds the requests of a batch at the provider, and "
        "the plan cannot make it again",
        hint="put a copy back, or go back to the configuration that sent it; without it, its "
        f"requests are in doubt and asked again: mv {state_path} {state_path}.damaged",
    )


class _RequestLine(msgspec.Struct):
    custom_id: str
    body: msgspec.Raw = msgspec.Raw()
    params: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_RequestLine).decode


class RequestIndex:
    """The requests of a file by name, their bodies read when they are needed; close it.

    Args:
        path: the file.

    Raises:
        StorageError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._places: dict[str, tuple[int, int]] = {}
        try:
            self._file = path.open("rb")
            place = 0
            for line in self._file:
                self._places[_decode(line).custom_id] = place, len(line)
                place += len(line)
        except (OSError, msgspec.MsgspecError) as error:
            raise StorageError(f"{path} cannot be read: {error}") from error

    def __contains__(self, custom_id: str) -> bool:
        return custom_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def body(self, custom_id: str) -> bytes:
        """The body of a request, exactly as sent."""
        place, length = self._places[custom_id]
        self._file.seek(place)
        line = _decode(self._file.read(length))
        return bytes(line.body) or bytes(line.params)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def drop_files(state: BatchState, root: Path) -> None:
    """Remove the requests and fetched results of a batch that is recorded; its state stays."""
    for path in [state.path(root, ".jsonl"), *result_files(state, root)]:
        path.unlink(missing_ok=True)


def result_files(state: BatchState, root: Path) -> list[Path]:
    """The results that were fetched so far."""
    return sorted(state.path(root, "").parent.glob(f"{state.name}-results-*.jsonl"))
