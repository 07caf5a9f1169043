"""Workers' parts in an object store: each worker uploads its own, and no folder is shared.

A worker creates objects and never overwrites one. So the driver can shut out a worker that it holds
for lost and that may be alive, behind a cut network: it creates the parts that the worker may
still upload itself, without rows, and whoever comes second is told so by the store.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from evalharness.distributed.messages import UploadTarget
from evalharness.errors import ConfigError, StorageError
from evalharness.store.folder import durable_files
from evalharness.store.folder.lock import LOCK
from evalharness.store.folder.run_folder import RunFolder
from evalharness.store.parts import seal
from evalharness.store.parts.part_files import Part, part_name, write_part
from evalharness.store.parts.to_arrow import attempt_table, record_table
from evalharness.store.remote.object_store import RemoteFolder
from evalharness.store.remote.sync import OWNER, RunSync, read_owner

_TABLES = ("attempts", "records")  # in the order in which they are uploaded


class PartUpload:
    """Uploads what one worker seals; calls are made on its sealing thread.

    Args:
        target: the run in the store.
    """

    def __init__(self, target: UploadTarget) -> None:
        self._target = target
        self._remote = RemoteFolder(target.url)

    def check(self) -> None:
        """Check that this node reaches the store, and that the run is still the driver's.

        Raises:
            StorageError: it does not, or another copy has taken the run over.
        """
        owner = read_owner(self._remote)
        if owner is None or owner.copy != self._target.copy:
            by = "somebody" if owner is None else owner.host
            raise StorageError(
                f"{self._remote.url} has been taken over by {by}: nothing more is uploaded",
                hint=f"{OWNER} there names who writes the run",
            )

    def upload(self, root: Path, parts: Sequence[Part]) -> None:
        """Create the objects of sealed parts, attempts before their records; read them back.

        Raises:
            StorageError: the store refused, or the driver has gone on without this worker.
        """
        self.check()
        for part in sorted(parts, key=lambda part: part.path):
            content = (root / part.path).read_bytes()
            if hashlib.sha256(content).hexdigest() != part.sha256:
                raise StorageError(f"{root / part.path} is not what was sealed")
            if not self._remote.create(part.path, content):
                raise StorageError(
                    f"{self._remote.url}/{part.path}: the run went on without this worker, which "
                    "did not answer",
                    hint="its trials are asked again by others, and are listed as in doubt",
                )

    def remove(self, root: Path, parts: Sequence[Part]) -> None:
        """Remove local files of parts that the manifest lists."""
        for part in parts:
            (root / part.path).unlink(missing_ok=True)


def check_shared_folder(root: Path, holder: str) -> None:
    """Check on a worker's node that it sees the run folder that the driver writes.

    Args:
        root: its path.
        holder: what the driver's lock file says.

    Raises:
        ConfigError: it is another folder, or there is none.
    """
    try:
        is_shared = (root / LOCK).read_text() == holder
    except OSError:
        is_shared = False
    if not is_shared:
        raise ConfigError(
            f"{root} on a worker's machine is not the folder that the command writes",
            hint="results_dir=s3://bucket/folder with execution.journal_dir=/PATH needs no shared "
            "path; else results_dir or staging_dir must be on one",
        )


class StoreParts:
    """The driver's view of parts that workers upload.

    Args:
        folder: the driver's local copy.
        sync: of it.
    """

    def __init__(self, folder: RunFolder, sync: RunSync) -> None:
        self._folder = folder
        self._sync = sync

    def fetch(self, parts: Sequence[Part]) -> None:
        """Fetch parts that a worker has uploaded.

        Raises:
            StorageError: the store refused, or holds something else.
        """
        for part in parts:
            self._sync.fetch_part(part.path, part.sha256)

    def fetch_existing(self, numbers: Iterable[int]) -> None:
        """Fetch those parts of a dead worker that the store has and the copy lacks.

        Raises:
            StorageError: the store refused.
        """
        names = [f"{table}/{part_name(number)}" for number in numbers for table in _TABLES]
        missing = [name for name in names if not (self._folder.root / name).exists()]
        if missing:
            stored = set(self._sync.remote.list_names())
            for name in missing:
                if name in stored:
                    self._sync.fetch_part(name, None)

    def shut_out(self, numbers: Iterable[int]) -> list[tuple[str, int]]:
        """Create all parts that a lost worker may still upload; fetch those that it has uploaded.

        Returns the empty ones, as table and number; :meth:`list_empty` lists them. A repeated call
        has the same result.

        Raises:
            StorageError: the store refused.
        """
        listed = {part.path for part in self._folder.manifest.parts}
        empty: list[tuple[str, int]] = []
        for number in numbers:
            for table in _TABLES:
                name = f"{table}/{part_name(number)}"
                if name in listed:
                    continue
                if self._sync.remote.create(name, _empty_part(table, number)):
                    empty.append((table, number))
                    break  # without its attempts no worker uploads records
                self._sync.fetch_part(name, None)
        return empty

    def list_empty(self, parts: Iterable[tuple[str, int]]) -> None:
        """List empty parts, so that no reader finds a part that the manifest does not name."""
        for table, number in parts:
            root = self._folder.root
            self._sync.fetch_part(f"{table}/{part_name(number)}", None)
            listing = seal.describe(root, root / table / part_name(number), rows=0)
            seal.list_parts(self._folder, seal.SealedParts([listing], [], [], []))


def _empty_part(table: str, number: int) -> bytes:
    rows = record_table([], {}) if table == "records" else attempt_table([])
    with tempfile.TemporaryDirectory(prefix="evh-") as folder:
        durable_files.make_folder(Path(folder) / table)
        return (Path(folder) / write_part(Path(folder), table, number, rows).path).read_bytes()
