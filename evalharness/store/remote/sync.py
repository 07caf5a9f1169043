"""Synchronisation of a run folder with an object store, for results roots given by URL.

A run is always written into a folder of this machine, the *local copy*, because its journal must
be on a local disk. A part is uploaded and read back before its entries leave the journal, and the
uploaded manifest lists only uploaded parts. The store has no locks, so ``owner.json`` beside the
manifest names the copy that may have more than the store: while it is open, no other copy may
write. It is created, and replaced, by conditional writes: of several copies that claim a run at
once, one succeeds.

``owner.json`` holds: ``copy`` (random name of a machine's copies), ``host``, ``pid``, ``open``.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec

from evalharness.errors import RunInUseError, StorageError
from evalharness.store.folder import durable_files
from evalharness.store.journal.journal_format import FILE_NAME, connect_for_reading
from evalharness.store.journal.repair import open_and_repair
from evalharness.store.parts import parts_log
from evalharness.store.parts.part_files import Part
from evalharness.store.remote.conditional import Versioned
from evalharness.store.remote.object_store import RemoteFolder
from evalharness.store.remote.upload_ledger import UploadLedger

OWNER = "owner.json"
# Changed in the store itself (store.folder.notes, store.folder.annotations): a copy never uploads
# its own.
NOTES = "notes.json"
ANNOTATIONS = "annotations.parquet"
_PEOPLES = (NOTES, ANNOTATIONS)
MARKER = ".evalharness-remote.json"
_MANIFEST = "run.json"
_PARTS = ("records", "attempts")
_LOCAL = ("journal", "batches")
_LEASES = "leases.jsonl"  # exists while workers have journals on other machines
_THREADS = 8


class Owner(msgspec.Struct, kw_only=True):
    """The local copy that a run in the store belongs to; the content of ``owner.json``."""

    copy: str
    host: str
    pid: int
    open: bool


class _Marker(msgspec.Struct):
    url: str
    copy: str


def make_copy_folder(folder: Path, url: str) -> None:
    """Make a folder for local copies of runs below ``url``, unless it exists."""
    marker = folder / MARKER
    if not marker.exists():
        durable_files.make_folder(folder)
        content = _Marker(url, secrets.token_hex(8))
        durable_files.write_bytes_durably(marker, msgspec.json.encode(content))


def find_sync(root: Path) -> RunSync | None:
    """The synchronisation of a run folder that is a local copy; None for any other folder."""
    root = root.absolute()
    for folder in root.parents:
        marker = folder / MARKER
        if marker.is_file():
            content = msgspec.json.decode(marker.read_bytes(), type=_Marker)
            name = root.relative_to(folder).as_posix()
            return RunSync(root, RemoteFolder(content.url).child(name), content.copy)
    return None


class RunSync:
    """Keeps the local copy of one run and its folder in the store equal.

    Args:
        root: the local copy.
        remote: the run's folder in the store.
        copy: name of this machine's copies.
    """

    def __init__(self, root: Path, remote: RemoteFolder, copy: str) -> None:
        self._root = root
        self.remote = remote
        self._copy = copy
        self._ledger = UploadLedger(root)
        self._is_complete = False  # the store has this copy's manifest and all that it lists
        self._seen: Versioned | None = None  # owner.json as this session read or wrote it

    @property
    def url(self) -> str:
        """The run's URL."""
        return self.remote.url

    @property
    def copy(self) -> str:
        """Name of this machine's copies."""
        return self._copy

    # ── before ───────────────────────────────────────────────────────────────────────────────

    def fetch(self, *, writing: bool, claim_lost_copy: str | None = None) -> Owner | None:
        """Bring the local copy up to date; the caller holds its lock.

        Args:
            writing: the run is going to be written.
            claim_lost_copy: name of a copy that is lost for good, from which the run may be taken.

        Returns:
            The previous owner if its copy was open; else None.

        Raises:
            RunInUseError: another copy is open, and the run is going to be written.
            StorageError: the store refused; or this copy's journal holds answers that are older
                than what another copy has uploaded.
        """
        self.remote.retries = False
        owner = self._owner()
        has_manifest = (self._root / _MANIFEST).exists()
        if owner is not None and owner.copy == self._copy and has_manifest:
            self._is_complete = not owner.open
            self._fetch_missing()
            if not writing:
                names = self.remote.list_names()
                self._fetch_nested(names)
                for name in {*_PEOPLES} & {*names}:
                    self._fetch(name, None)
            return None
        names = self.remote.list_names()
        open_owner = owner if owner is not None and owner.open else None
        if writing and open_owner is not None and claim_lost_copy != open_owner.copy:
            raise RunInUseError(
                f"{self.url} belongs to a copy on {open_owner.host} that is open: it is being "
                "written there, or was left with answers that only its journal holds",
                hint=f"run it there; if that machine is lost for good, "
                f"claim_lost_copy={open_owner.copy} asks again what its journal held",
            )
        self._is_complete = open_owner is None and not has_manifest
        if _MANIFEST in names:
            self._pull(names, unlisted=writing)
            self._fetch_nested(names)
            self._is_complete = open_owner is None
        return open_owner

    def claim(self) -> None:
        """Write into the store that this copy is the owner, and open; after :meth:`fetch`.

        Raises:
            RunInUseError: another copy did so since :meth:`fetch`.
        """
        if not self._write_owner(is_open=True):
            raise RunInUseError(f"{self.url} was begun elsewhere at the same moment")
        self.remote.retries = True

    # ── while writing ────────────────────────────────────────────────────────────────────────

    def push(self, parts: Sequence[Part]) -> None:
        """Upload parts that the store lacks, other files that changed, and the manifest last.

        Raises:
            StorageError: the store refused, or another copy has taken the run over.
        """
        self.push_parts(parts)
        for name in self._other_files():
            self._put_if_changed(name)
        self._put_if_changed(_MANIFEST)
        self._is_complete = True

    def push_parts(self, parts: Sequence[Part]) -> None:
        """Upload parts that the store lacks; errors are those of :meth:`push`."""
        self._is_complete = False
        owner = self._owner()
        if owner is None or owner.copy != self._copy:
            by = "somebody" if owner is None else owner.host
            raise StorageError(
                f"{self.url} has been taken over by {by}: nothing more is uploaded",
                hint=f"what is not there yet is in {self._root}",
            )
        for part in sorted(parts, key=lambda part: part.path):  # attempts before their records
            missing = self._ledger.sha256(part.path) != part.sha256
            if missing and (self._root / part.path).exists():
                self._put(part.path)

    def release(self) -> None:
        """Write into the store that this copy is closed, unless the store still lacks something."""
        owner = self._owner()
        if owner is not None and owner.copy == self._copy:
            is_open = not self._is_complete or _has_entries(self._root)
            self._write_owner(is_open=is_open)  # fails where another has taken the run over by now

    def fetch_part(self, name: str, sha256: str | None) -> None:
        """Fetch a part that a worker has uploaded into this copy, unless it is here.

        Raises:
            StorageError: the store refused, or the part has another SHA-256.
        """
        self._fetch(name, sha256)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _owner(self) -> Owner | None:
        self._seen = self.remote.read_versioned(OWNER)
        return None if self._seen is None else _decode_owner(self._seen.content)

    def _write_owner(self, *, is_open: bool) -> bool:
        """Write ``owner.json`` if it is as it was read last; whether it was."""
        owner = Owner(copy=self._copy, host=socket.gethostname(), pid=os.getpid(), open=is_open)
        content = msgspec.json.encode(owner)
        if self._seen is None:
            created = self.remote.create(OWNER, content)
            if created:  # once in the life of a run
                self.remote.check_conditions(OWNER, content)
            return created
        return self.remote.replace(OWNER, content, self._seen.version)

    def _fetch_missing(self) -> None:
        """Fetch parts that the manifest lists and this copy lacks."""
        for name, sha256 in _listed_parts(self._root).items():
            if not (self._root / name).exists() and self._ledger.sha256(name) is not None:
                self._fetch(name, sha256)

    def _pull(self, names: list[str], *, unlisted: bool) -> None:
        """Fetch what another copy wrote, the manifest last.

        A reader does not need parts that the manifest lacks (``unlisted``); a writer lists them.
        """
        if _has_entries(self._root):
            raise StorageError(
                f"another machine went on with {self.url}, and the journal in {self._root} holds "
                "answers from before",
                hint=f"mv {self._root} {self._root}.old, and run it again without them",
            )
        content = self.remote.read(_MANIFEST)
        assert content is not None
        listed = _part_hashes(msgspec.json.decode(content, type=_Parts))
        nested = tuple(_nested_runs(names))
        wanted = [n for n in names if n not in (_MANIFEST, OWNER) and not n.startswith(nested)]
        if not unlisted:
            wanted = [n for n in wanted if n in listed or not n.startswith(_PARTS)]
        hashes = [listed.get(name) for name in wanted]
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(self._fetch, wanted, hashes))
        # This copy's journal is empty; the journal of the previous owner is not copied.
        journal = self._root / "journal" / FILE_NAME
        durable_files.make_folder(journal.parent)
        open_and_repair(journal, []).close()
        for log in self._root.glob(parts_log.PATTERN):  # of an earlier manifest of this copy
            log.unlink()
        durable_files.write_bytes_durably(self._root / _MANIFEST, content)

    def _fetch_nested(self, names: list[str]) -> None:
        """Bring nested runs (judgings) up to date; each has an owner of its own."""
        for prefix in _nested_runs(names):
            name = prefix.rstrip("/")
            durable_files.make_folder(self._root / name)
            nested = RunSync(self._root / name, self.remote.child(name), self._copy)
            nested.fetch(writing=False)

    def _fetch(self, name: str, sha256: str | None) -> None:
        path = self._root / name
        if sha256 is not None and sha256 == self._ledger.sha256(name) and path.exists():
            return
        self._ledger.note(name, self.remote.fetch(name, path, sha256=sha256))

    def _other_files(self) -> Iterator[str]:
        """Files to upload that are no parts and do not belong to nested runs."""
        for path in sorted(self._root.iterdir()):
            if path.is_file() and path.name not in (_MANIFEST, "run.lock", OWNER, *_PEOPLES):
                if not path.name.startswith(".") and not path.match(parts_log.PATTERN):
                    yield path.name
            elif path.is_dir() and path.name not in (*_PARTS, *_LOCAL):
                inside = sorted(p for p in path.rglob("*") if p.is_file())
                runs = [p.parent for p in inside if p.name == _MANIFEST]
                yield from (
                    p.relative_to(self._root).as_posix()
                    for p in inside
                    if not p.name.startswith(".") and not any(p.is_relative_to(r) for r in runs)
                )

    def _put_if_changed(self, name: str) -> None:
        if self._ledger.is_changed(name):
            self._put(name)

    def _put(self, name: str) -> None:
        self._ledger.note(name, self.remote.put(name, self._root / name))


def read_owner(remote: RemoteFolder) -> Owner | None:
    """The owner of a run in the store; None if it has none yet."""
    stored = remote.read_versioned(OWNER)
    return None if stored is None else _decode_owner(stored.content)


def _decode_owner(content: bytes) -> Owner:
    return msgspec.json.decode(content, type=Owner)


def _nested_runs(names: list[str]) -> list[str]:
    """Prefixes of the runs inside a run."""
    return [n.removesuffix(_MANIFEST) for n in names if n.endswith(f"/{_MANIFEST}")]


class _Parts(msgspec.Struct):
    parts: list[Part] = []
    parts_log: int = 0
    rewriting: list[str] = []


def _part_hashes(manifest: _Parts) -> dict[str, str | None]:
    """SHA-256 of each part; None while it is rewritten, because it may be the old or new one."""
    return {p.path: None if p.path in manifest.rewriting else p.sha256 for p in manifest.parts}


def _listed_parts(root: Path) -> dict[str, str | None]:
    try:
        manifest = msgspec.json.decode((root / _MANIFEST).read_bytes(), type=_Parts)
    except msgspec.MsgspecError:  # who reads the whole of it says that it is damaged
        return {}
    lines = parts_log.read(parts_log.log_path(root, manifest.parts_log))
    manifest.parts = parts_log.merge(manifest.parts, lines)
    return _part_hashes(manifest)


def _has_entries(root: Path) -> bool:
    """Whether a run's journals hold entries, here or on workers' own disks."""
    if (root / "journal" / _LEASES).exists():
        return True
    for path in (root / "journal").rglob(FILE_NAME):
        db = connect_for_reading(path)
        if db is not None:
            with closing(db):
                if db.execute("SELECT 1 FROM entry LIMIT 1").fetchone() is not None:
                    return True
    return False
