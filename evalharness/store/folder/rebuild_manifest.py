"""Rebuilds a missing or damaged ``run.json`` from the files beside it: parts, journals, plan.

Counts and the list of parts are read from the parts. Changes of the running run are kept where the
damaged file still has them. What else only the manifest held (sessions, notes, versions) is lost;
it stays empty and is named in a note, which every report shows.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evalharness.columnar.arrow_ops import read_parquet, where_not_in
from evalharness.config.stored_config import StoredConfig, parse_stored_configs
from evalharness.errors import ConfigError, EvalharnessError, StorageError
from evalharness.records import Outcome
from evalharness.store.folder.control import ControlChange
from evalharness.store.folder.current_plan import PlanFilter
from evalharness.store.folder.lock import take_lock
from evalharness.store.folder.run_folder import CONFIG, MANIFEST, Manifest, RunFolder, now_iso
from evalharness.store.journal.journal_format import connect_for_reading
from evalharness.store.journal.worker_journals import journal_paths
from evalharness.store.parts import parts_log
from evalharness.store.parts.part_files import PATTERN, Part, describe, part_name, read_sealed

if TYPE_CHECKING:
    import pyarrow as pa

_CELL = ["prompt_id", "setting_id", "repeat"]
_UNKNOWN = "unknown"
# They stand at the beginning of the file, and are whole where only its end is lost.
_CONTROL = re.compile(r'^ "control": ', re.MULTILINE)
_FIRST_FIELD = rb'^ "%s": "([ -!#-\[\]-~]+)",?$'


class RebuiltManifest(NamedTuple):
    """A manifest that was rebuilt, and ``unknown``: phrases for what it could not know."""

    manifest: Manifest
    unknown: list[str]


def rebuild_manifest(root: Path) -> RebuiltManifest:
    """Write ``run.json`` anew; what was there is kept as ``run.json.damaged``.

    Call it only where the manifest is missing or cannot be read.

    Raises:
        RunInUseError: a process writes the run.
        StorageError: the disk refused.
    """
    lock = take_lock(root)
    try:
        path = root / MANIFEST
        damaged = path.read_bytes() if path.exists() else b""
        parts = _Parts(root)
        manifest, unknown = _manifest(root, damaged, parts)
        unknown += parts.unknown
        manifest.notes = [f"{now_iso()}: run.json was rebuilt; not known: {'; '.join(unknown)}"]
        if damaged:
            path.replace(_unused(path))
        RunFolder(root, lock, manifest).save_manifest()
    except OSError as error:
        raise StorageError(f"cannot rebuild {root / MANIFEST}: {error.strerror}") from error
    finally:
        os.close(lock)
    return RebuiltManifest(manifest, unknown)


def _unused(path: Path) -> Path:
    """The name under which a damaged file is kept; nothing is overwritten."""
    target, number = path.with_name(f"{path.name}.damaged"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    return target


class _Parts:
    """What the parts on disk say.

    Attributes:
        listed: parts that can be read and whose seal is finished.
        statuses: of their records.
        in_doubt: attempts in doubt.
        unknown: phrases for what the parts leave open.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.listed: list[Part] = []
        self.statuses: Counter[str] = Counter()
        self.in_doubt = 0
        self.unknown: list[str] = []
        self._tables: dict[str, list[pa.Table]] = {"records": [], "attempts": []}
        self._times: list[datetime] = []
        logged = {p.path: p for line in _log_lines(root) for p in line.parts}
        unfinished = _open_seals(root)
        for table in self._tables:
            for path in sorted((root / table).glob(PATTERN)):
                if path.name not in unfinished:  # the next run repeats their seal
                    self._add(table, path, logged)
        if {part.path for part in self.listed} - logged.keys():
            self.unknown.append("whether the Parquet files are as they were sealed")

    def _add(self, table: str, path: Path, logged: dict[str, Part]) -> None:
        columns = [*_CELL, "status"] if table == "records" else ["outcome"]
        try:
            rows = read_sealed(path, ["trial_id", "sent_at", *columns])
        except StorageError:
            name = path.relative_to(self._root).as_posix()
            self.unknown.append(f"what {name} held, which is damaged")
            return
        part = describe(self._root, path, rows=len(rows))
        self.listed.append(logged.get(part.path, part))
        self._tables[table].append(rows)
        counts = Counter(str(value) for value in rows[columns[-1]].to_pylist())
        if table == "records":
            self.statuses.update(counts)
        else:
            self.in_doubt += counts[Outcome.IN_DOUBT]
        self._times += sorted(t for t in rows["sent_at"].to_pylist() if t is not None)[:1]

    def table(self, name: str, columns: list[str]) -> pa.Table:
        """Columns of all records or attempts."""
        import pyarrow as pa

        tables = [table.select(columns) for table in self._tables[name]]
        if tables:
            return pa.concat_tables(tables)
        return pa.table({column: pa.array([], pa.string()) for column in columns})

    @property
    def first(self) -> str | None:
        """When the first request was sent, ISO 8601 in UTC; None where no part says."""
        return min(self._times).isoformat(timespec="seconds") if self._times else None

    @property
    def reopened(self) -> bool:
        """Whether there are attempts of trials without a record."""
        recorded = self.table("records", ["trial_id"])["trial_id"]
        attempts = self.table("attempts", ["trial_id"])
        return len(where_not_in(attempts, "trial_id", recorded)) > 0


def _log_lines(root: Path) -> list[parts_log.LogLine]:
    """The lines of the logs of sealed parts, the newest last."""
    logs = sorted(root.glob(parts_log.PATTERN), key=_log_number)
    return [line for log in logs for line in parts_log.read(log)]


def _log_number(path: Path) -> int:
    digits = path.stem.partition("-")[2]
    return int(digits) if digits.isdigit() else 0


def _open_seals(root: Path) -> set[str]:
    """File names of parts whose seal is not finished, as far as journals can be read."""
    names: set[str] = set()
    for path in journal_paths(root):
        names |= {part_name(part) for part in _query(path, "SELECT part FROM seal") or []}
    return names


def _query(path: Path, query: str) -> list[int] | None:
    """The first column of a query on a journal; empty without one, None if it is damaged."""
    try:
        db = connect_for_reading(path)
        if db is None:
            return []
        with closing(db):
            return [value for (value,) in db.execute(query)]
    except (EvalharnessError, sqlite3.Error):
        return None


def _manifest(root: Path, damaged: bytes, parts: _Parts) -> tuple[Manifest, list[str]]:
    unknown = ["its sessions, the limits of its endpoints, its environment and its earlier notes"]
    fields = {name: _first_field(damaged, name) for name in ("code_version", "created_at")}
    if fields["code_version"] is None:
        unknown.append("which version wrote it")
    if fields["created_at"] is None:
        source = "its first request" if parts.first else "its oldest file"
        unknown.append(f"when it was begun (taken from {source})")
    control = _control(damaged)
    if control is None:
        unknown.append("what users changed while it ran")
    manifest = Manifest(
        control=control or [],
        code_version=fields["code_version"] or _UNKNOWN,
        name=root.name,
        status="imported",
        created_at=fields["created_at"] or parts.first or _oldest(root),
        updated_at=now_iso(),
        recorded=sum(p.rows for p in parts.listed if p.path.startswith("records/")),
        by_status=dict(sorted(parts.statuses.items())),
        in_doubt=parts.in_doubt,
        parts=sorted(parts.listed, key=lambda part: part.path),
        reopened=parts.reopened,
        parts_log=1 + max(map(_log_number, root.glob(parts_log.PATTERN)), default=0),
    )
    sent = [part for part in parts.listed if part.path.startswith("attempts/")]
    if not sent and not (root / CONFIG).exists() and _is_empty(root):
        return manifest, [*unknown, "whether the imported file had a column of answers"]
    _complete(manifest, root, parts, unknown)
    return manifest, unknown


def _is_empty(root: Path) -> bool:
    """Whether every journal can be read and holds nothing."""
    return all(_query(path, "SELECT 1 FROM entry LIMIT 1") == [] for path in journal_paths(root))


def _first_field(damaged: bytes, name: str) -> str | None:
    match = re.search(_FIRST_FIELD % name.encode(), damaged, re.MULTILINE)
    return None if match is None else match[1].decode()


def _control(damaged: bytes) -> list[ControlChange] | None:
    """The changes of the running run, where all of them can be read; None where they cannot."""
    text = damaged.decode("utf-8", "replace")
    match = _CONTROL.search(text)
    try:
        if match is None:
            return None
        value, _ = json.JSONDecoder().raw_decode(text, match.end())
        return msgspec.convert(value, list[ControlChange])
    except (ValueError, RecursionError):  # a msgspec.ValidationError is a ValueError
        return None


def _oldest(root: Path) -> str:
    times = [path.stat().st_mtime for path in root.iterdir() if path.is_file()]
    return datetime.fromtimestamp(min(times), UTC).isoformat(timespec="seconds")


def _complete(manifest: Manifest, root: Path, parts: _Parts, unknown: list[str]) -> None:
    """Fill in what only a run has, not an import: its plan, and whether all of it is recorded."""
    try:
        configs = list(parse_stored_configs((root / CONFIG).read_text("utf-8")))
    except (OSError, UnicodeDecodeError, ConfigError):
        configs = []
    providers = [p for config in configs for p in config.all_providers()]
    manifest.unverified = sorted({p["name"] for p in providers if p.get("verify") is False})
    unknown.append("whether earlier configurations checked certificates")
    manifest.planned, recorded = _plan_size(manifest, root, parts, configs)
    if manifest.planned is None:
        unknown.append("how many trials were planned")
    manifest.status, manifest.reason = "interrupted", "run.json was rebuilt"
    if recorded and _is_empty(root):
        manifest.status, manifest.reason = "complete", None


def _plan_size(
    manifest: Manifest, root: Path, parts: _Parts, configs: list[StoredConfig]
) -> tuple[int | None, bool]:
    """Trials of the newest plan, None where that is not known; whether all of it is recorded."""
    repeats = {config.repeats for config in configs}
    prompts, settings = (_plan_table(root, name) for name in ("prompts", "settings"))
    if any(config.load is not None for config in configs):
        return None, False  # a load point asks as often as its load takes
    if prompts is None or settings is None or len(repeats) != 1 or None in repeats:
        return None, False
    plan = PlanFilter(settings, prompts, manifest)
    plan.repeats = repeats.pop()
    planned = len(plan.settings) * len(plan.prompts) * (plan.repeats or 0)
    return planned, len(plan.select(parts.table("records", _CELL))) == planned


def _plan_table(root: Path, name: str) -> Any:
    import pyarrow as pa

    try:
        return read_parquet(root / f"{name}.parquet")
    except (pa.ArrowException, OSError):
        return None
