"""The local copy of a run whose results root is a URL, and how the two are kept alike.

A run is always written into a folder of this machine, the *local copy*: its journal must be on a
local disk. Whatever is sealed there is uploaded and read back before the journal drops it, and the
uploaded manifest lists only what was. The store itself locks nothing, so ``owner.json`` beside the
manifest says which copy holds what the store lacks: while it is open, no other copy may write.

``owner.json`` holds: ``copy`` (random name of a machine's copies), ``host``, ``pid``, ``open``.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec

from evalharness.errors import RunInUseError, StorageError
from evalharness.store.folder import durable_files
from evalharness.store.journal.journal_format import FILE_NAME, connect_for_reading
from evalharness.store.journal.repair import open_for_writing
from evalharness.store.parts import parts_log
from evalharness.store.parts.part_files import Part
from evalharness.store.remote.object_store import Remote
from evalharness.store.remote.upload_ledger import Uploaded

OWNER = "owner.json"
MARKER = ".evalharness-remote.json"
_MANIFEST = "run.json"
_PARTS = ("records", "attempts")
_LOCAL = ("journal",)
_LEASES = "leases.jsonl"  # there while workers have journals elsewhere
_AT_ONCE = 8
# Two that claim a run at the same moment both see the later one's name after this.
_SETTLE_S = 1.0


class Owner(msgspec.Struct, kw_only=True):
    """Which local copy a run in the store belongs to."""

    copy: str
    host: str
    pid: int
    open: bool


class _Marker(msgspec.Struct):
    url: str
    copy: str


def make_copy_folder(folder: Path, url: str) -> None:
    """Make a folder for local copies of runs below ``url``; nothing where it is one already."""
    marker = folder / MARKER
    if not marker.exists():
        durable_files.make_folder(folder)
        content = _Marker(url, secrets.token_hex(8))
        durable_files.publish_bytes(marker, msgspec.json.encode(content))


def mirror_of(root: Path) -> Mirror | None:
    """The mirror of a run folder that is a local copy; None for any other."""
    root = root.absolute()
    for folder in root.parents:
        marker = folder / MARKER
        if marker.is_file():
            known = msgspec.json.decode(marker.read_bytes(), type=_Marker)
            name = root.relative_to(folder).as_posix()
            return Mirror(root, Remote(known.url).child(name), known.copy)
    return None


class Mirror:
    """One run: its local copy and its place in the store.

    Args:
        root: the local copy.
        remote: the run's folder in the store.
        copy: name of this machine's copies.
    """

    def __init__(self, root: Path, remote: Remote, copy: str) -> None:
        self._root = root
        self.remote = remote
        self._copy = copy
        self._uploaded = Uploaded(root)
        self._whole = False  # the manifest there is this copy's, and all it lists is there

    @property
    def url(self) -> str:
        """Where the run is."""
        return self.remote.url

    # ── before ───────────────────────────────────────────────────────────────────────────────

    def fetch(self, *, writing: bool, takeover: str | None = None) -> Owner | None:
        """Bring the local copy up to date; whoever calls holds its lock.

        Args:
            writing: the run is going to be written.
            takeover: name of a copy that is lost for good, from which the run may be taken.

        Returns:
            The owner it was taken over from; None without that.

        Raises:
            RunInUseError: another copy holds what the store lacks, and the run is to be written.
            StorageError: the store refused; or this copy's journal holds answers of a time before
                another copy went on.
        """
        self.remote.patient = False
        owner = self._owner()
        has_manifest = (self._root / _MANIFEST).exists()
        if owner is not None and owner.copy == self._copy and has_manifest:
            self._whole = not owner.open
            self._heal()
            if not writing:
                self._fetch_inner(self.remote.names())
            return None
        names = self.remote.names()
        taken = owner if owner is not None and owner.open else None
        if writing and taken is not None and takeover != taken.copy:
            raise RunInUseError(
                f"{self.url} belongs to a copy on {taken.host} that is open: it is being "
                "written there, or was left with answers that only its journal holds",
                hint=f"run it there; if that machine is lost for good, takeover={taken.copy} asks "
                "again what its journal held",
            )
        self._whole = taken is None and not has_manifest
        if _MANIFEST in names:
            self._pull(names, unlisted=writing)
            self._fetch_inner(names)
            self._whole = taken is None
        return taken

    def claim(self) -> None:
        """Say in the store that this copy is the one that writes.

        Raises:
            RunInUseError: another one said so at the same time.
        """
        owner = self._owner()
        if owner is None or owner.copy != self._copy:
            self._say(is_open=True)
            time.sleep(_SETTLE_S)
            owner = self._owner()
            if owner is None or owner.copy != self._copy:
                raise RunInUseError(f"{self.url} was begun elsewhere at the same moment")
        else:
            self._say(is_open=True)
        self.remote.patient = True

    # ── while writing ────────────────────────────────────────────────────────────────────────

    def push(self, parts: Sequence[Part]) -> None:
        """Upload parts that are not there yet, whatever else changed, and the manifest last.

        Raises:
            StorageError: the store refused, or another copy has taken the run over.
        """
        self.push_parts(parts)
        for name in self._others():
            self._put_if_changed(name)
        self._put_if_changed(_MANIFEST)
        self._whole = True

    def push_parts(self, parts: Sequence[Part]) -> None:
        """Upload parts that are not there yet; errors as of :meth:`push`."""
        self._whole = False
        owner = self._owner()
        if owner is None or owner.copy != self._copy:
            by = "somebody" if owner is None else owner.host
            raise StorageError(
                f"{self.url} has been taken over by {by}: nothing more is uploaded",
                hint=f"what is not there yet is in {self._root}",
            )
        for part in sorted(parts, key=lambda part: part.path):  # attempts before their records
            missing = self._uploaded.sha256(part.path) != part.sha256
            if missing and (self._root / part.path).exists():
                self._put(part.path)

    def release(self) -> None:
        """Say that the store lacks nothing, unless it does or a journal holds something."""
        owner = self._owner()
        if owner is not None and owner.copy == self._copy:
            self._say(is_open=not self._whole or _has_entries(self._root))

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _owner(self) -> Owner | None:
        content = self.remote.read(OWNER)
        return None if content is None else msgspec.json.decode(content, type=Owner)

    def _say(self, *, is_open: bool) -> None:
        owner = Owner(copy=self._copy, host=socket.gethostname(), pid=os.getpid(), open=is_open)
        self.remote.write(OWNER, msgspec.json.encode(owner))

    def _heal(self) -> None:
        """Fetch parts that the manifest lists and that are gone from this copy."""
        for name, sha256 in _listed(self._root).items():
            if not (self._root / name).exists() and self._uploaded.sha256(name) is not None:
                self._fetch(name, sha256)

    def _pull(self, names: list[str], *, unlisted: bool) -> None:
        """Fetch what another copy wrote, the manifest last.

        Whoever reads needs no part whose seal was not finished; whoever writes lists it.
        """
        if _has_entries(self._root):
            raise StorageError(
                f"another machine went on with {self.url}, and the journal in {self._root} holds "
                "answers from before",
                hint=f"mv {self._root} {self._root}.old, and run it again without them",
            )
        content = self.remote.read(_MANIFEST)
        assert content is not None
        listed = _sums(msgspec.json.decode(content, type=_Parts))
        inner = tuple(_inner(names))
        wanted = [n for n in names if n not in (_MANIFEST, OWNER) and not n.startswith(inner)]
        if not unlisted:
            wanted = [n for n in wanted if n in listed or not n.startswith(_PARTS)]
        sums = [listed.get(name) for name in wanted]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._fetch, wanted, sums))
        # This copy's own journal holds nothing; that of whoever wrote before is not for it.
        journal = self._root / "journal" / FILE_NAME
        durable_files.make_folder(journal.parent)
        open_for_writing(journal, []).close()
        for log in self._root.glob(parts_log.PATTERN):  # of an earlier manifest of this copy
            log.unlink()
        durable_files.publish_bytes(self._root / _MANIFEST, content)

    def _fetch_inner(self, names: list[str]) -> None:
        """Bring judgings up to date: each is a run of its own, which this copy may own."""
        for prefix in _inner(names):
            name = prefix.rstrip("/")
            durable_files.make_folder(self._root / name)
            inner = Mirror(self._root / name, self.remote.child(name), self._copy)
            inner.fetch(writing=False)

    def _fetch(self, name: str, sha256: str | None) -> None:
        path = self._root / name
        if sha256 is not None and sha256 == self._uploaded.sha256(name) and path.exists():
            return
        self._uploaded.note(name, self.remote.fetch(name, path, sha256=sha256))

    def _others(self) -> Iterator[str]:
        """Files that are no parts and not this machine's alone."""
        for path in sorted(self._root.iterdir()):
            if path.is_file() and path.name not in (_MANIFEST, "run.lock", OWNER):
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
        if self._uploaded.is_changed(name):
            self._put(name)

    def _put(self, name: str) -> None:
        self._uploaded.note(name, self.remote.put(name, self._root / name))


def _inner(names: list[str]) -> list[str]:
    """Prefixes of the runs inside a run."""
    return [n.removesuffix(_MANIFEST) for n in names if n.endswith(f"/{_MANIFEST}")]


class _Parts(msgspec.Struct):
    parts: list[Part] = []
    parts_log: int = 0
    rewriting: list[str] = []


def _sums(manifest: _Parts) -> dict[str, str | None]:
    """SHA-256 of each part; None while it is rewritten, when it is that of before or after."""
    return {p.path: None if p.path in manifest.rewriting else p.sha256 for p in manifest.parts}


def _listed(root: Path) -> dict[str, str | None]:
    manifest = msgspec.json.decode((root / _MANIFEST).read_bytes(), type=_Parts)
    lines = parts_log.read(parts_log.path_of(root, manifest.parts_log))
    manifest.parts = parts_log.merged(manifest.parts, lines)
    return _sums(manifest)


def _has_entries(root: Path) -> bool:
    """Whether a run's journals hold anything, here or on workers' own disks."""
    if (root / "journal" / _LEASES).exists():
        return True
    for path in (root / "journal").rglob(FILE_NAME):
        db = connect_for_reading(path)
        if db is not None:
            with closing(db):
                if db.execute("SELECT 1 FROM entry LIMIT 1").fetchone() is not None:
                    return True
    return False
