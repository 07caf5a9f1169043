"""A seal: moves journal entries into Parquet parts; can be repeated after a kill at any point.

1. ``seal(part, upto)`` is committed in the journal, which fixes the content of the part.
2. The entries up to ``upto`` of every *finished* trial are written as ``attempts/part-N``, then as
   ``records/part-N`` (temporary file, sync, verify, rename, sync of the folder). So a record is
   never without its attempts, even if the journal is lost. A part that has its name is complete
   and is not written again, because an entry may have been damaged meanwhile.
3. The manifest lists the parts.
4. One transaction deletes those entries and the seal row.

A kill before step 4 leaves the seal row, and :func:`finish_open_seals` repeats steps 2 to 4 with
the same names. Readers may briefly find a trial in a part and in the journal; they keep one.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evalharness.columnar.arrow_ops import read_parquet
from evalharness.process.memory import raise_if_out_of_memory
from evalharness.records import AttemptResult, Intent
from evalharness.store.folder.run_folder import RunFolder
from evalharness.store.journal.journal_format import Damage, read_entries
from evalharness.store.parts.part_files import Part, describe, part_name, part_number, write_table
from evalharness.store.parts.setting_columns import SettingColumns
from evalharness.store.parts.to_arrow import attempt_table, record_table

if TYPE_CHECKING:
    import pyarrow as pa

# Building a part of this many trials with short answers takes some 50 MB of memory.
SEAL_TRIALS = 8_192
SEAL_BYTES = 64 * 2**20


class Batch(NamedTuple):
    """The journal's entries up to a seal, by trial: final results, all results, entry numbers."""

    finals: dict[str, AttemptResult]
    attempts: dict[str, list[AttemptResult]]
    seqs: dict[str, list[int]]


class SealedParts(NamedTuple):
    """The files that one seal wrote, and what the manifest and the journal need of their rows."""

    parts: list[Part]
    trial_ids: list[str]
    statuses: list[str]
    outcomes: list[str]

    def seqs(self, batch: Batch) -> list[int]:
        """Numbers of the journal entries that are in these parts."""
        return [seq for trial in self.trial_ids for seq in batch.seqs.get(trial, [])]


def begin_seal(db: sqlite3.Connection, part: int) -> tuple[int, int] | None:
    """Step 1: add a seal row over all committed entries; (part, last entry), None when empty."""
    last_seq = db.execute("SELECT max(seq) FROM entry").fetchone()[0]
    if last_seq is None:
        return None
    db.execute("INSERT INTO seal (part, upto) VALUES (?, ?)", (part, last_seq))
    return part, last_seq


def open_seal(db: sqlite3.Connection) -> tuple[int, int] | None:
    """The first seal that a killed process left unfinished, as (part, last entry), or None."""
    return db.execute("SELECT part, upto FROM seal ORDER BY part LIMIT 1").fetchone()


def finish_open_seals(
    folder: RunFolder,
    db: sqlite3.Connection,
    settings: dict[str, SettingColumns],
    damage: list[Damage],
) -> None:
    """Repeat steps 2 to 4 of seals that a killed process left unfinished."""
    while (seal := open_seal(db)) is not None:
        part, last_seq = seal
        sealed, seqs = make_parts(db, folder.root, part, last_seq, settings, damage)
        if sealed is not None:
            list_parts(folder, sealed)
        db.execute("BEGIN IMMEDIATE")
        drop_entries(db, part, seqs)
        db.execute("COMMIT")


def make_parts(
    db: sqlite3.Connection,
    root: Path,
    part: int,
    last_seq: int,
    settings: dict[str, SettingColumns],
    damage: list[Damage],
) -> tuple[SealedParts | None, list[int]]:
    """Step 2: write both parts from the entries up to ``last_seq``; also those entries' numbers.

    Arguments and errors are those of :func:`write_parts`; damaged entries are appended to
    ``damage``.
    """
    batch = collect(read_entries(db, last_seq=last_seq, damage=damage))
    sealed = write_parts(root, part, batch, settings)
    return sealed, [] if sealed is None else sealed.seqs(batch)


def collect(entries: Iterable[tuple[int, Intent | AttemptResult]]) -> Batch:
    """Group numbered entries by trial, in journal order."""
    seqs: dict[str, list[int]] = {}
    results: dict[str, list[AttemptResult]] = {}
    finals: dict[str, AttemptResult] = {}
    for seq, value in entries:
        intent = value if isinstance(value, Intent) else value.intent
        seqs.setdefault(intent.trial_id, []).append(seq)
        if isinstance(value, AttemptResult):
            results.setdefault(intent.trial_id, []).append(value)
            if value.final:
                finals.setdefault(intent.trial_id, value)
    return Batch(finals, results, seqs)


def write_parts(
    root: Path, part: int, batch: Batch, settings: dict[str, SettingColumns]
) -> SealedParts | None:
    """Write both parts of a batch, except those that exist; None if there is nothing to write.

    Raises:
        StorageError: the disk refused.
    """
    existing = _read_existing(root, "records", part, ["trial_id", "status"])
    if existing is None and not batch.finals:
        return None
    records = record_table(list(batch.finals.values()), settings) if existing is None else existing
    trial_ids = [str(trial) for trial in records["trial_id"].to_pylist()]
    # Attempts without records are written again, so that both parts hold the same trials.
    attempts = None if existing is None else _read_existing(root, "attempts", part, ["outcome"])
    if attempts is None:
        results = [result for trial in trial_ids for result in batch.attempts.get(trial, [])]
        attempts = attempt_table(results)
        write_table(root / "attempts" / part_name(part), attempts)
    if existing is None:
        write_table(root / "records" / part_name(part), records)
    return SealedParts(
        parts=[
            describe(root, root / name / part_name(part), rows=len(table))
            for name, table in (("records", records), ("attempts", attempts))
        ],
        trial_ids=trial_ids,
        statuses=[str(status) for status in records["status"].to_pylist()],
        outcomes=_outcomes(attempts),
    )


def existing_attempts(root: Path, part: int) -> SealedParts | None:
    """An attempts part whose records were never written; None if it is damaged."""
    attempts = _read_existing(root, "attempts", part, ["outcome"])
    if attempts is None:
        return None
    listing = describe(root, root / "attempts" / part_name(part), rows=len(attempts))
    return SealedParts(parts=[listing], trial_ids=[], statuses=[], outcomes=_outcomes(attempts))


def existing_trials(path: Path) -> list[str]:
    """The trials of a part on disk; empty if it is damaged."""
    table = _read_existing(path.parent.parent, path.parent.name, part_number(path), ["trial_id"])
    return [] if table is None else [str(trial) for trial in table["trial_id"].to_pylist()]


def _outcomes(attempts: pa.Table) -> list[str]:
    return [str(outcome) for outcome in attempts["outcome"].to_pylist()]


def _read_existing(root: Path, table: str, part: int, columns: list[str]) -> pa.Table | None:
    """Columns of a part on disk; None if there is none or it is damaged."""
    import pyarrow as pa

    path = root / table / part_name(part)
    try:
        return read_parquet(path, columns) if path.exists() else None
    except (pa.ArrowException, OSError) as error:
        raise_if_out_of_memory(error)
        return None


def list_parts(folder: RunFolder, sealed: SealedParts) -> None:
    """Step 3: list parts in the manifest; a repeated seal replaces its own earlier entries."""
    names = {p.path for p in sealed.parts}
    new_tables = {name.split("/")[0] for name in names - {p.path for p in folder.manifest.parts}}
    others = [p for p in folder.manifest.parts if p.path not in names]
    all_parts = sorted([*others, *sealed.parts], key=lambda p: p.path)
    counts = Counter(folder.manifest.by_status)
    in_doubt = folder.manifest.in_doubt
    if "records" in new_tables:
        counts.update(sealed.statuses)
    if "attempts" in new_tables:
        in_doubt += sealed.outcomes.count("in_doubt")
    folder.save_parts(
        sealed.parts, parts=all_parts, by_status=dict(sorted(counts.items())), in_doubt=in_doubt
    )


def drop_entries(db: sqlite3.Connection, part: int, seqs: list[int]) -> None:
    """Step 4: delete sealed entries and the seal row, in the caller's transaction.

    Entries are deleted by ranges of consecutive numbers, which is faster than one by one.
    """
    db.executemany("DELETE FROM entry WHERE seq BETWEEN ? AND ?", _ranges(seqs))
    db.execute("DELETE FROM seal WHERE part = ?", (part,))


def _ranges(seqs: list[int]) -> list[tuple[int, int]]:
    """Numbers as ranges (first, last) without gaps."""
    ranges: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if ranges and seq == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges


def next_part_number(folder: RunFolder) -> int:
    """One more than the highest number in the manifest or on disk, renamed parts included."""
    paths = [Path(part.path) for part in folder.manifest.parts]
    for name in ("records", "attempts"):
        paths += (folder.root / name).glob("part-*")
    return max(map(part_number, paths), default=0) + 1
