"""Verifies the integrity of a run folder: files, rows, manifest and journals."""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evalharness.columnar.arrow_ops import lacks_only_nullable, read_parquet
from evalharness.config.stored_config import parse_stored_configs
from evalharness.errors import EvalharnessError, SchemaVersionError
from evalharness.process.memory import raise_if_out_of_memory
from evalharness.records import AttemptResult, Intent, Outcome
from evalharness.store.folder.annotations import find_damage
from evalharness.store.folder.run_folder import (
    CONFIG,
    MANIFEST,
    UNFINISHED,
    Manifest,
    read_manifest,
)
from evalharness.store.journal.journal_format import (
    Damage,
    connect_for_reading,
    read_entries,
    read_quarantine,
)
from evalharness.store.journal.repair import commits_lost
from evalharness.store.journal.worker_journals import journal_paths
from evalharness.store.parts.part_files import PATTERN, describe, part_name
from evalharness.store.parts.totals import Totals
from evalharness.store.remote.sync import ANNOTATIONS

if TYPE_CHECKING:
    import pyarrow as pa


class Finding(msgspec.Struct, frozen=True):
    """One problem. ``where`` is a file of the run folder."""

    where: str
    problem: str


class VerificationReport(msgspec.Struct, kw_only=True):
    """What verification found; sound when ``findings`` is empty.

    ``unsealed``, ``in_doubt``, ``waiting`` (requests in batches), ``quarantined`` and ``sealing``
    are counts, not problems.
    ``quarantined`` counts damaged entries, whose trials are sent again; ``sealing`` counts parts
    that are not listed yet because their seal is running or was interrupted. ``has_manifest`` says
    whether ``run.json`` can be read, ``lost`` what a ``run.json`` that was rebuilt does not know;
    None where it was not rebuilt.
    """

    run: str
    parts: int = 0
    records: int = 0
    attempts: int = 0
    unsealed: int = 0
    in_doubt: int = 0
    waiting: int = 0
    quarantined: int = 0
    sealing: int = 0
    planned: int | None = None
    has_manifest: bool = True
    lost: list[str] | None = None
    findings: list[Finding] = []

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify_folder(root: Path) -> VerificationReport:
    """Read everything in a run folder and compare it with the manifest and with itself.

    Parts on disk are listed first, then the journal's open seals, then the manifest. So a part that
    a running writer makes meanwhile is known from one of the three. Parts that only the manifest
    lists are added at the end.

    Raises:
        SchemaVersionError: the folder was written with another storage schema.
    """
    report = VerificationReport(run=root.name, findings=[])
    paths = {table: sorted((root / table).glob(PATTERN)) for table in ("records", "attempts")}
    open_seals = _open_seals(root)
    manifest = _read_manifest(root, report)
    listed = None if manifest is None else {part.path: part.sha256 for part in manifest.parts}
    rewriting: list[str] = [] if manifest is None else manifest.rewriting
    open_parts = {*rewriting, *(f"{table}/{name}" for table in paths for name in open_seals)}
    for name in listed or ():
        if (root / name) not in paths[name.split("/")[0]] and (root / name).exists():
            paths[name.split("/")[0]].append(root / name)
    totals = Totals()
    readable: set[str] = set()  # attempts parts that can be read
    for path in [*paths["attempts"], *paths["records"]]:
        rows = _check_part(root, path, listed, open_parts, report)
        if rows is None:
            continue
        is_listed = path.relative_to(root).as_posix() in (listed or ())
        if path.parent.name == "attempts":
            totals.add_attempts(rows, listed=is_listed)
            readable.add(path.name)
        else:
            totals.add_records(rows, listed=is_listed, paired=path.name in readable)
    report.records, report.attempts, report.in_doubt = (
        totals.records,
        totals.attempts,
        totals.in_doubt,
    )
    _check_rows(root, manifest, totals, report)
    _check_config(root, manifest, report)
    _check_journal(root, manifest, totals, report)
    damage = find_damage(root)
    if damage is not None:
        report.findings.append(Finding(ANNOTATIONS, damage))
    return report


def _check_rows(
    root: Path, manifest: Manifest | None, totals: Totals, report: VerificationReport
) -> None:
    """Check the rows of all parts against each other, the plan's files and the manifest."""
    if manifest is not None and manifest.is_only_begun:
        return
    incomplete = bool(report.findings)
    prompts, settings = _read_plan_files(root, report)
    listed = [] if manifest is None else [part.path for part in manifest.parts]
    for name in listed:
        if not (root / name).exists():
            incomplete = True
            report.findings.append(Finding(name, "listed in run.json, and missing"))
    report.findings += [Finding("records", problem) for problem in totals.problems()]
    # A part that cannot be read is reported already, and explains any difference in the totals.
    if manifest is None or incomplete or prompts is None or settings is None or report.sealing:
        return
    report.findings += [Finding(MANIFEST, problem) for problem in totals.differences(manifest)]
    if manifest.status != "imported":
        missing = totals.missing(manifest, prompts, settings)
        report.findings += [Finding("records", problem) for problem in missing]


def _check_config(root: Path, manifest: Manifest | None, report: VerificationReport) -> None:
    """Check the stored configuration, by which a run is scored and priced; an import has none."""
    path = root / CONFIG
    if not path.exists():
        if manifest is not None and manifest.status != "imported" and not manifest.is_only_begun:
            report.findings.append(Finding(CONFIG, "missing"))
        return
    try:
        deque(parse_stored_configs(path.read_text("utf-8")), maxlen=0)
    except UnicodeDecodeError:
        report.findings.append(Finding(CONFIG, "cannot be read: it is not UTF-8"))
    except EvalharnessError as error:
        problem = error.message.partition("cannot be read: ")[2]
        report.findings.append(Finding(CONFIG, f"cannot be read: {problem}"))


def _read_manifest(root: Path, report: VerificationReport) -> Manifest | None:
    try:
        manifest = read_manifest(root)
    except SchemaVersionError:
        raise  # nothing in the folder can be judged by this version's columns
    except EvalharnessError as error:
        report.findings.append(Finding("run.json", error.message))
        report.has_manifest = False
        return None
    if manifest is None:
        report.findings.append(Finding("run.json", "missing"))
        report.has_manifest = False
        return None
    report.planned = manifest.planned
    return manifest


def _open_seals(root: Path) -> set[str]:
    """File names of the parts whose seal is not finished."""
    names: set[str] = set()
    for path in journal_paths(root):
        # Damage of a journal is reported by _check_journal.
        with suppress(EvalharnessError, sqlite3.Error):
            db = connect_for_reading(path)
            if db is not None:
                with closing(db):
                    names |= {part_name(part) for (part,) in db.execute("SELECT part FROM seal")}
    return names


def _read_plan_files(
    root: Path, report: VerificationReport
) -> tuple[pa.Table | None, pa.Table | None]:
    """Prompts and settings; None for a table that cannot be read."""
    import pyarrow as pa

    tables: list[pa.Table | None] = [None, None]
    for index, name in enumerate(("prompts.parquet", "settings.parquet")):
        try:
            tables[index] = read_parquet(root / name)
        except FileNotFoundError:
            report.findings.append(Finding(name, "missing"))
        except (pa.ArrowException, OSError) as error:
            raise_if_out_of_memory(error)
            report.findings.append(Finding(name, f"cannot be read: {_first_line(error)}"))
    return tables[0], tables[1]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_part(
    root: Path,
    path: Path,
    listed: dict[str, str] | None,
    open_parts: set[str],
    report: VerificationReport,
) -> pa.Table | None:
    import pyarrow as pa

    from evalharness.schema import arrow_schema

    name = path.relative_to(root).as_posix()
    report.parts += 1
    try:
        table = read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise_if_out_of_memory(error)
        report.findings.append(Finding(name, f"cannot be read: {_first_line(error)}"))
        return None
    # An older part may lack a nullable column that was added to the schema since.
    if not lacks_only_nullable(table.schema, arrow_schema(path.parent.name)):
        report.findings.append(Finding(name, "its columns are not those of the schema"))
        return None
    expected = None if listed is None else listed.get(name)
    if name in open_parts:
        report.sealing += 1
    elif listed is None:  # there is no list that could be compared
        return table
    elif expected is None:
        report.findings.append(Finding(name, "not listed in run.json"))
    elif describe(root, path, rows=len(table)).sha256 != expected:
        report.findings.append(Finding(name, "its content is not what was sealed"))
    return table


class _UnsealedEntries:
    """The entries of all journals; an attempt may be in two while journals are merged."""

    def __init__(self) -> None:
        self.intents: set[tuple[str, int]] = set()
        self.in_batches: set[tuple[str, int]] = set()
        self.results: dict[tuple[str, int], tuple[bool, bool]] = {}  # final, in doubt

    def add(self, value: Intent | AttemptResult) -> None:
        if isinstance(value, Intent):
            self.intents.add((value.trial_id, value.attempt))
            if value.batch_file is not None:
                self.in_batches.add((value.trial_id, value.attempt))
        else:
            key = value.intent.trial_id, value.intent.attempt
            self.results[key] = value.final, value.reply.outcome is Outcome.IN_DOUBT

    def count(self, totals: Totals, report: VerificationReport) -> None:
        # A trial that is in a part is there with all its attempts.
        trials = sorted({trial for trial, _ in self.intents | self.results.keys()})
        sealed = totals.sealed_trials(trials)
        unsealed = [flags for (trial, _), flags in self.results.items() if trial not in sealed]
        report.unsealed += sum(final for final, _ in unsealed)
        report.in_doubt += sum(in_doubt for _, in_doubt in unsealed)
        open_keys = {key for key in self.intents - self.results.keys() if key[0] not in sealed}
        report.waiting += len(open_keys & self.in_batches)
        report.in_doubt += len(open_keys - self.in_batches)


def _check_journal(
    root: Path, manifest: Manifest | None, totals: Totals, report: VerificationReport
) -> None:
    unsealed = _UnsealedEntries()
    for path in journal_paths(root):
        where = path.parent.relative_to(root).as_posix()
        damage: list[Damage] = []
        problems: list[str] = []
        try:
            db = connect_for_reading(path)
            if db is None:
                if where == "journal" and _needs_journal(manifest):
                    problems.append("the journal is gone")
            else:
                with closing(db):
                    lost = commits_lost(path)
                    if lost:
                        problems.append(f"{lost} commits in the write-ahead log cannot be read")
                    problems += _read_journal(db, unsealed, damage, report)
        except (EvalharnessError, sqlite3.Error) as error:
            problems.append(error.message if isinstance(error, EvalharnessError) else str(error))
        report.findings += [
            Finding(where, text) for text in (*problems, *map(_describe_damage, damage))
        ]
    unsealed.count(totals, report)


def _needs_journal(manifest: Manifest | None) -> bool:
    if manifest is None or manifest.is_only_begun:
        return False
    return manifest.status in UNFINISHED


def _describe_damage(item: Damage) -> str:
    return f"entry {item.seq}: {item.reason}" if item.seq else item.reason


def _read_journal(
    db: sqlite3.Connection,
    unsealed: _UnsealedEntries,
    damage: list[Damage],
    report: VerificationReport,
) -> list[str]:
    for _, value in read_entries(db, damage=damage):
        unsealed.add(value)
    report.quarantined += len(read_quarantine(db))
    if damage:
        return []
    problem = db.execute("PRAGMA quick_check").fetchone()[0]
    return [] if problem == "ok" else [str(problem)]
