"""Integrity of a run folder: every promise that can be checked from outside, checked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evalharness.arrow import read_parquet
from evalharness.errors import EvalharnessError
from evalharness.records import AttemptResult, Intent
from evalharness.store.folder import read_manifest
from evalharness.store.journal import FILE_NAME, Damage, connect_for_reading, read_entries
from evalharness.store.parts import PATTERN, describe

if TYPE_CHECKING:
    import pyarrow as pa


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong. ``where`` is a file of the run folder."""

    where: str
    problem: str


class Report(msgspec.Struct, kw_only=True):
    """What verification found; sound when ``findings`` is empty.

    ``in_doubt`` and ``unsealed`` are facts, not faults.
    """

    run: str
    parts: int = 0
    records: int = 0
    attempts: int = 0
    unsealed: int = 0
    in_doubt: int = 0
    planned: int | None = None
    findings: list[Finding] = []

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify_folder(root: Path) -> Report:
    """Read everything in a run folder and compare it with the manifest and with itself."""
    report = Report(run=root.name, findings=[])
    listed = _check_manifest(root, report)
    ids: list[str] = []
    for table in ("records", "attempts"):
        for path in sorted((root / table).glob(PATTERN)):
            rows = _check_part(root, path, listed, report)
            if rows is None:
                continue
            if table == "records":
                ids += [str(trial) for trial in rows["trial_id"].to_pylist()]
            else:
                report.attempts += len(rows)
                report.in_doubt += rows["outcome"].to_pylist().count("in_doubt")
    for name in listed:
        if not (root / name).exists():
            report.findings.append(Finding(name, "listed in run.json, and missing"))
    repeated = [trial for trial, count in Counter(ids).items() if count > 1]
    if repeated:
        report.findings.append(
            Finding("records", f"{len(repeated)} trials have more than one record: {repeated[0]}")
        )
    report.records = len(ids)
    _check_journal(root, set(ids), report)
    return report


def _check_manifest(root: Path, report: Report) -> dict[str, str]:
    """Hashes of the listed parts, by path."""
    try:
        manifest = read_manifest(root)
    except EvalharnessError as error:
        report.findings.append(Finding("run.json", error.message))
        return {}
    if manifest is None:
        report.findings.append(Finding("run.json", "missing"))
        return {}
    report.planned = manifest.planned
    return {part.path: part.sha256 for part in manifest.parts}


def _check_part(root: Path, path: Path, listed: dict[str, str], report: Report) -> pa.Table | None:
    import pyarrow as pa

    from evalharness.schema import arrow_schema

    name = path.relative_to(root).as_posix()
    report.parts += 1
    try:
        table = read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        report.findings.append(Finding(name, f"cannot be read: {str(error).splitlines()[0]}"))
        return None
    if not table.schema.equals(arrow_schema(path.parent.name)):
        report.findings.append(Finding(name, "its columns are not those of the schema"))
    expected = listed.get(name)
    if expected is None:
        # A kill between naming a part and listing it leaves this; the next run lists it.
        report.findings.append(Finding(name, "not listed in run.json; run again to list it"))
    elif describe(root, path, rows=len(table)).sha256 != expected:
        report.findings.append(Finding(name, "its content is not what was sealed"))
    return table


def _check_journal(root: Path, sealed: set[str], report: Report) -> None:
    path = root / "journal" / FILE_NAME
    try:
        db = connect_for_reading(path)
    except EvalharnessError as error:
        report.findings.append(Finding("journal", error.message))
        return
    if db is None:
        return
    damage: list[Damage] = []
    intents: set[tuple[str, int]] = set()
    results: set[tuple[str, int]] = set()
    try:
        problem = db.execute("PRAGMA quick_check").fetchone()[0]
        if problem != "ok":
            report.findings.append(Finding("journal", str(problem)))
        for _, value in read_entries(db, damage=damage):
            if isinstance(value, Intent):
                intents.add((value.trial_id, value.attempt))
            else:
                _count(value, results, sealed, report)
        kept = db.execute("SELECT count(*) FROM quarantine").fetchone()[0]
    except Exception as error:
        report.findings.append(Finding("journal", f"cannot be read through: {error}"))
        return
    finally:
        db.close()
    report.in_doubt += len(intents - results)
    report.findings += [Finding("journal", f"entry {d.seq}: {d.reason}") for d in damage]
    if kept:
        report.findings.append(Finding("journal", f"{kept} damaged entries are in quarantine"))


def _count(
    value: AttemptResult, results: set[tuple[str, int]], sealed: set[str], report: Report
) -> None:
    results.add((value.intent.trial_id, value.intent.attempt))
    report.in_doubt += value.reply.outcome == "in_doubt"
    if value.final and value.intent.trial_id not in sealed:
        report.unsealed += 1
