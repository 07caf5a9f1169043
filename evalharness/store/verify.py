"""Integrity of a run folder: every promise that can be checked from outside, checked."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evalharness.arrow import read_parquet
from evalharness.errors import EvalharnessError
from evalharness.records import AttemptResult, Intent
from evalharness.store.entries import (
    FILE_NAME,
    Damage,
    connect_for_reading,
    quarantined,
    read_entries,
)
from evalharness.store.folder import UNFINISHED, Manifest, read_manifest
from evalharness.store.parts import PATTERN, describe, part_name
from evalharness.store.rescue import commits_lost

if TYPE_CHECKING:
    import pyarrow as pa


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong. ``where`` is a file of the run folder."""

    where: str
    problem: str


class Report(msgspec.Struct, kw_only=True):
    """What verification found; sound when ``findings`` is empty.

    ``unsealed``, ``in_doubt`` and ``quarantined`` (damaged entries that were set aside, their
    trials asked again) are facts, not faults; so is ``sealing``, a part that has its name and is
    not yet listed because its seal is still going on or was interrupted.
    """

    run: str
    parts: int = 0
    records: int = 0
    attempts: int = 0
    unsealed: int = 0
    in_doubt: int = 0
    quarantined: int = 0
    sealing: int = 0
    planned: int | None = None
    findings: list[Finding] = []

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify_folder(root: Path) -> Report:
    """Read everything in a run folder and compare it with the manifest and with itself.

    Parts are looked up first, then the journal's open seals, then the manifest: a part that a
    running writer names meanwhile is in one of the three.
    """
    report = Report(run=root.name, findings=[])
    paths = {table: sorted((root / table).glob(PATTERN)) for table in ("records", "attempts")}
    open_seals = _open_seals(root)
    manifest = _manifest(root, report)
    listed = {} if manifest is None else {part.path: part.sha256 for part in manifest.parts}
    ids: list[str] = []
    for table in ("records", "attempts"):
        for path in paths[table]:
            rows = _check_part(root, path, listed, open_seals, report)
            if rows is None:
                continue
            if table == "records":
                ids += [str(trial) for trial in rows["trial_id"].to_pylist()]
            else:
                report.attempts += len(rows)
                report.in_doubt += rows["outcome"].to_pylist().count("in_doubt")
    _check_lists(root, listed, report)
    repeated = [trial for trial, count in Counter(ids).items() if count > 1]
    if repeated:
        report.findings.append(
            Finding("records", f"{len(repeated)} trials have more than one record: {repeated[0]}")
        )
    report.records = len(ids)
    _check_journal(root, manifest, set(ids), report)
    return report


def _manifest(root: Path, report: Report) -> Manifest | None:
    try:
        manifest = read_manifest(root)
    except EvalharnessError as error:
        report.findings.append(Finding("run.json", error.message))
        return None
    if manifest is None:
        report.findings.append(Finding("run.json", "missing"))
        return None
    report.planned = manifest.planned
    return manifest


def _open_seals(root: Path) -> set[str]:
    """File names of the parts whose seal is not finished."""
    try:
        db = connect_for_reading(root / "journal" / FILE_NAME)
        if db is None:
            return set()
        with closing(db):
            return {part_name(part) for (part,) in db.execute("SELECT part FROM seal")}
    except (EvalharnessError, sqlite3.Error):
        return set()  # said when the journal itself is checked


def _check_lists(root: Path, listed: dict[str, str], report: Report) -> None:
    """Every listed part is there, and prompts and settings can be read."""
    import pyarrow as pa

    for name in listed:
        if not (root / name).exists():
            report.findings.append(Finding(name, "listed in run.json, and missing"))
    for name in ("prompts.parquet", "settings.parquet"):
        try:
            read_parquet(root / name)
        except FileNotFoundError:
            report.findings.append(Finding(name, "missing"))
        except (pa.ArrowException, OSError) as error:
            report.findings.append(Finding(name, f"cannot be read: {_first_line(error)}"))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_part(
    root: Path, path: Path, listed: dict[str, str], open_seals: set[str], report: Report
) -> pa.Table | None:
    import pyarrow as pa

    from evalharness.schema import arrow_schema

    name = path.relative_to(root).as_posix()
    report.parts += 1
    try:
        table = read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        report.findings.append(Finding(name, f"cannot be read: {_first_line(error)}"))
        return None
    if not table.schema.equals(arrow_schema(path.parent.name)):
        report.findings.append(Finding(name, "its columns are not those of the schema"))
    expected = listed.get(name)
    if expected is None and path.name in open_seals:
        report.sealing += 1
    elif expected is None:
        report.findings.append(Finding(name, "not listed in run.json"))
    elif describe(root, path, rows=len(table)).sha256 != expected:
        report.findings.append(Finding(name, "its content is not what was sealed"))
    return table


def _check_journal(root: Path, manifest: Manifest | None, sealed: set[str], report: Report) -> None:
    path = root / "journal" / FILE_NAME
    damage: list[Damage] = []
    try:
        db = connect_for_reading(path)
        if db is None:
            if manifest is not None and manifest.status in UNFINISHED:
                report.findings.append(Finding("journal", "the journal is gone"))
            return
        with closing(db):
            lost = commits_lost(path)
            if lost:
                problem = f"{lost} commits in the write-ahead log cannot be read"
                report.findings.append(Finding("journal", problem))
            _read_journal(db, sealed, damage, report)
    except (EvalharnessError, sqlite3.Error) as error:
        problem = error.message if isinstance(error, EvalharnessError) else str(error)
        report.findings.append(Finding("journal", problem))
    report.findings += [Finding("journal", _said(item)) for item in damage]


def _said(item: Damage) -> str:
    return f"entry {item.seq}: {item.reason}" if item.seq else item.reason


def _read_journal(
    db: sqlite3.Connection, sealed: set[str], damage: list[Damage], report: Report
) -> None:
    intents: set[tuple[str, int]] = set()
    results: set[tuple[str, int]] = set()
    for _, value in read_entries(db, damage=damage):
        if isinstance(value, Intent):
            intents.add((value.trial_id, value.attempt))
        else:
            _count(value, results, sealed, report)
    report.in_doubt += len({key for key in intents - results if key[0] not in sealed})
    report.quarantined = len(quarantined(db))
    if not damage:
        problem = db.execute("PRAGMA quick_check").fetchone()[0]
        if problem != "ok":
            report.findings.append(Finding("journal", str(problem)))


def _count(
    value: AttemptResult, results: set[tuple[str, int]], sealed: set[str], report: Report
) -> None:
    results.add((value.intent.trial_id, value.intent.attempt))
    if value.intent.trial_id in sealed:  # in a part already, with all its attempts
        return
    report.in_doubt += value.reply.outcome == "in_doubt"
    report.unsealed += value.final
