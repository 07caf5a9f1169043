"""The run folder: its layout and its manifest.

One process writes a run folder at a time (see :mod:`.lock`).
"""

from __future__ import annotations

import os
import platform
import shlex
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from evalharness.errors import LostManifestError, SchemaVersionError, StorageError
from evalharness.records import SCHEMA_VERSION
from evalharness.store.folder import durable_files
from evalharness.store.folder.control import ControlChange
from evalharness.store.folder.lock import take_lock
from evalharness.store.parts import parts_log
from evalharness.store.parts.part_files import Part
from evalharness.store.remote.sync import RunSync, find_sync

MANIFEST = "run.json"
CONFIG = "config.yaml"
# Statuses of a run whose journal may hold answers that no part holds.
UNFINISHED = ("running", "interrupted", "stopped", "waiting")


class Manifest(msgspec.Struct, kw_only=True):
    """``run.json``: what a reader needs before opening any Parquet.

    ``status`` is ``running``, ``complete``, ``interrupted``, ``stopped``, ``waiting`` (batches are
    under way at the provider) or ``imported``;
    ``planned`` counts the trials of the newest plan, None before there is one and of an import;
    ``recorded`` the rows in sealed record parts.
    ``sessions`` has one entry for each time the run was started or resumed: ``ended_at``,
    ``seconds`` it took, ``cpu_s`` of this process, requests ``sent``, trials ``recorded``, and how
    late the client itself was (``loop_lag_s``, ``commit_wait_s``: n, p50, p99 and max in seconds,
    see :mod:`evalharness.runner.loop_lag`).
    ``unverified`` names the providers that were asked without a check of their certificate, in any
    session.
    ``answers_supplied`` says of an import whether its file had an ``answer`` column (a null there
    is an unparsed answer); None for runs. ``rewriting`` names parts whose content is being
    replaced, and ``reopened`` says that records were removed from parts (see
    :mod:`~evalharness.store.parts.retry_errors`). ``parts_log`` is the number of the log that holds
    newer parts (see :mod:`.parts_log`). ``control`` lists what users changed while the run went on
    (see :class:`.control.ControlChange`).
    """

    schema_version: int = SCHEMA_VERSION
    code_version: str
    name: str
    status: str
    created_at: str
    updated_at: str
    reason: str | None = None
    planned: int | None = None
    recorded: int = 0
    by_status: dict[str, int] = {}
    in_doubt: int = 0
    parts: list[Part] = []
    environment: dict[str, Any] = {}
    sessions: list[dict[str, Any]] = []
    throttle: list[dict[str, Any]] = []
    notes: list[str] = []
    unverified: list[str] = []
    answers_supplied: bool | None = None
    rewriting: list[str] = []
    reopened: bool = False
    parts_log: int = 0
    control: list[ControlChange] = []

    @property
    def is_only_begun(self) -> bool:
        """Whether no session came so far as to write a plan; so nothing was ever sent."""
        return self.status == "running" and self.planned is None and not self.parts


def now_iso() -> str:
    """The current instant in UTC, ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment() -> dict[str, Any]:
    """Where a run was made: versions and machine, nothing personal."""
    from importlib.metadata import version

    packages = (
        "hydra-core", "httptools", "httpx", "msgspec", "numpy", "pandas", "pyarrow", "pyreqwest",
        "uvloop",
    )  # fmt: skip
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "packages": {name: version(name) for name in packages},
    }


class RunFolder:
    """The writing side of ``results/<name>/``; use :meth:`open`, then :meth:`close`."""

    def __init__(self, root: Path, lock: int, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self._lock = lock
        self._sync: RunSync | None = None
        self._saving = threading.RLock()  # seals and changes by users save in threads of their own
        log = parts_log.log_path(root, manifest.parts_log)
        self._logged = sum(len(line.parts) for line in parts_log.read(log))

    @classmethod
    def open(cls, root: Path, *, code_version: str) -> RunFolder:
        """Lock the folder (creating it when new) and read its manifest.

        Raises:
            RunInUseError: another process holds the lock; nothing was changed.
            ConfigError: it is a symbolic link, which may lead out of the results folder.
            StorageError: it cannot be created, or was written by a newer schema.
        """
        return cls.open_locked(root, take_lock(root), code_version=code_version)

    @classmethod
    def open_locked(cls, root: Path, lock: int, *, code_version: str) -> RunFolder:
        """The rest of :meth:`open`, for a lock that is held already; it is released on failure."""
        try:
            sync = find_sync(root)
            if sync is not None:
                sync.fetch(writing=True)
                sync.claim()
            folder = cls(root, lock, _read_or_create_manifest(root, code_version))
            folder._sync = sync
            if not (root / MANIFEST).exists():  # so that a kill from now on leaves a run
                durable_files.write_bytes_durably(root / MANIFEST, folder._manifest_bytes())
            for name in ("records", "attempts", "journal"):
                durable_files.make_folder(root / name)
            durable_files.sync_folder(root)
            durable_files.sync_folder(root.parent)
            folder._remove_temporary_files()
        except BaseException as error:
            os.close(lock)
            if not isinstance(error, OSError):
                raise
            raise StorageError(f"cannot open the run folder {root}: {error.strerror}") from error
        return folder

    def _remove_temporary_files(self) -> None:
        """Remove temporary files of a writer that was killed."""
        for stale in [*self.root.glob(".*.tmp"), *self.root.glob("*/.*.tmp")]:
            stale.unlink(missing_ok=True)

    @property
    def lock(self) -> int:
        """File descriptor of the lock."""
        return self._lock

    @property
    def sync(self) -> RunSync | None:
        """The synchronisation with an object store; None for a run on a path."""
        return self._sync

    @property
    def journal_folder(self) -> Path:
        """The folder of the journal."""
        return self.root / "journal"

    def save_manifest(self, **changes: Any) -> None:
        """Write ``run.json`` with some fields changed, and upload it if the run has a remote.

        Raises:
            StorageError: the disk or the object store refused; parts may not be uploaded then.
        """
        with self._saving:
            for key, value in changes.items():
                setattr(self.manifest, key, value)
            self.manifest.updated_at = now_iso()
            if self._logged:
                self.manifest.parts_log += 1
                self._logged = 0
            durable_files.write_bytes_durably(self.root / MANIFEST, self._manifest_bytes())
            for log in self.root.glob(parts_log.PATTERN):
                log.unlink()
            if self._sync is not None:
                self._sync.push(self.manifest.parts)

    def _manifest_bytes(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self.manifest), indent=1)

    def save_parts(
        self, added: list[Part], *, parts: list[Part], by_status: dict[str, int], in_doubt: int
    ) -> None:
        """List sealed parts: in ``run.json``, or in a line of the parts log when there are many.

        Raises:
            StorageError: as :meth:`save_manifest`.
        """
        with self._saving:
            self._save_parts(added, parts, by_status, in_doubt)

    def _save_parts(
        self, added: list[Part], parts: list[Part], by_status: dict[str, int], in_doubt: int
    ) -> None:
        manifest = self.manifest
        manifest.parts, manifest.by_status, manifest.in_doubt = parts, by_status, in_doubt
        manifest.recorded = sum(p.rows for p in parts if p.path.startswith("records/"))
        if parts_log.is_manifest_due(len(parts), self._logged + len(added)):
            self.save_manifest()
            return
        line = parts_log.LogLine(
            parts=added, recorded=manifest.recorded, by_status=by_status, in_doubt=in_doubt
        )
        try:
            parts_log.append(parts_log.log_path(self.root, manifest.parts_log), line)
        except OSError as error:
            raise StorageError(f"cannot write {self.root}: {error.strerror}") from error
        self._logged += len(added)
        if self._sync is not None:
            self._sync.push_parts(added)

    def close(self) -> None:
        """Release the lock; a second call changes nothing."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            if self._sync is not None:
                with suppress(StorageError):  # then the store goes on saying that this copy is open
                    self._sync.release()
            os.close(lock)


def refuse_lost_manifest(root: Path) -> None:
    """Refuse a folder without a manifest that holds more than a session only begun leaves there.

    Raises:
        StorageError: its manifest is lost.
    """
    plan = any((root / name).exists() for name in (CONFIG, "settings.parquet", "prompts.parquet"))
    parts = (next(root.glob(f"{name}/*.parquet"), None) for name in ("records", "attempts"))
    if not (root / MANIFEST).exists() and (plan or any(parts)):
        raise StorageError(
            f"{root} has no {MANIFEST}, and holds the other files of a run",
            hint=f"evalharness verify {shlex.quote(str(root))} --repair rebuilds it",
        )


def read_manifest(root: Path) -> Manifest | None:
    """The manifest of a folder with what its log adds, or None when it has none.

    Raises:
        LostManifestError: ``run.json`` is there and cannot be read.
        SchemaVersionError: it was written with another schema.
    """
    while True:
        try:
            content = (root / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
        manifest = _decode_manifest(root, content)
        lines = parts_log.read(parts_log.log_path(root, manifest.parts_log))
        if lines:
            last = lines[-1]
            manifest.parts = parts_log.merge(manifest.parts, lines)
            manifest.recorded, manifest.in_doubt = last.recorded, last.in_doubt
            manifest.by_status = last.by_status
            return manifest
        # With many parts the log may have been taken in between the two.
        if len(manifest.parts) < parts_log.FEW_PARTS or _is_unchanged(root, content):
            return manifest


def _is_unchanged(root: Path, content: bytes) -> bool:
    try:
        return (root / MANIFEST).read_bytes() == content
    except FileNotFoundError:
        return False


def _decode_manifest(root: Path, content: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        what = f"is damaged: {error}" if content.strip(b"\0 \n") else "is empty"
        raise LostManifestError(
            f"{root / MANIFEST} {what}",
            hint=f"evalharness verify {shlex.quote(str(root))} --repair rebuilds it",
        ) from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{root} was written with storage schema {manifest.schema_version}, and this version "
            f"reads schema {SCHEMA_VERSION}",
            hint="a newer version of evalharness reads it"
            if manifest.schema_version > SCHEMA_VERSION
            else "another name=… makes a new run; evalharness import takes what the version that "
            "wrote this one exports",
        )
    return manifest


def _read_or_create_manifest(root: Path, code_version: str) -> Manifest:
    existing = read_manifest(root)
    if existing is not None:
        existing.code_version = code_version
        return existing
    refuse_lost_manifest(root)
    # The folder may exist already, readable for all.
    root.chmod(durable_files.FOLDER_MODE)
    now = now_iso()
    return Manifest(
        code_version=code_version,
        name=root.name,
        status="running",
        created_at=now,
        updated_at=now,
        environment=environment(),
    )
