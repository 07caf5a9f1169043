"""Sealing: journal entries become Parquet parts, repeatably after a kill at any point.

1. ``seal(part, upto)`` is committed in the journal: from here on the part's content is decided.
2. The entries up to ``upto`` of every *finished* trial are written as ``attempts/part-N``, then as
   ``records/part-N`` (aside, synced, verified, renamed, folder synced): a record is never without
   its attempts, also where the journal is lost then. Once both have their names they are whole,
   and are kept: should an entry be damaged meanwhile, its record is still there.
3. The manifest lists the parts.
4. One transaction deletes those entries and the seal row.

A kill before 4 leaves the seal row, and :func:`finish_open_seals` repeats 2–4 with the same names.
Readers see a trial in a part or in the journal or, briefly, in both; they keep one.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.columnar.arrow_ops import read_parquet
from evalharness.records import AttemptResult, Intent
from evalharness.store.folder.run_folder import RunFolder
from evalharness.store.journal.journal_format import Damage, read_entries
from evalharness.store.parts.part_files import Part, describe, part_name, part_number, write_table
from evalharness.store.parts.to_arrow import attempt_table, record_table

if TYPE_CHECKING:
    import pyarrow as pa

# A part of this many trials is some 50 MB in memory while it is built from short answers.
SEAL_TRIALS = 8_192
SEAL_BYTES = 64 * 2**20

# Runs a function inside one journal transaction: Journal.execute while running, a plain
# connection during recovery.
Transact = Callable[[Callable[[sqlite3.Connection], Any]], Any]


class Batch(NamedTuple):
    """What the journal holds up to a seal: results of finished trials, entry numbers of all."""

    finals: dict[str, AttemptResult]
    attempts: dict[str, list[AttemptResult]]
    seqs: dict[str, list[int]]


class Sealed(NamedTuple):
    """What one seal wrote: its files, and what the manifest and the journal must know of them."""

    parts: list[Part]
    trial_ids: list[str]
    statuses: list[str]
    outcomes: list[str]

    def seqs(self, batch: Batch) -> list[int]:
        """Numbers of the journal entries that are in these parts now."""
        return [seq for trial in self.trial_ids for seq in batch.seqs.get(trial, [])]


def begin(db: sqlite3.Connection, part: int) -> tuple[int, int] | None:
    """Decide a seal over everything committed so far: (part, upto), None when empty."""
    upto = db.execute("SELECT max(seq) FROM entry").fetchone()[0]
    if upto is None:
        return None
    db.execute("INSERT INTO seal (part, upto) VALUES (?, ?)", (part, upto))
    return part, upto


def open_seal(db: sqlite3.Connection) -> tuple[int, int] | None:
    """The seal a killed process left unfinished, if any."""
    return db.execute("SELECT part, upto FROM seal ORDER BY part LIMIT 1").fetchone()


def finish_open_seals(
    folder: RunFolder, db: sqlite3.Connection, providers: dict[str, str], damage: list[Damage]
) -> None:
    """Repeat steps 2 to 4 of seals that a killed process left unfinished."""
    while (begun := open_seal(db)) is not None:
        part, upto = begun
        sealed, seqs = make_parts(db, folder.root, part, upto, providers, damage)
        if sealed is not None:
            list_parts(folder, sealed)
        db.execute("BEGIN IMMEDIATE")
        drop(db, part, seqs)
        db.execute("COMMIT")


def make_parts(
    db: sqlite3.Connection,
    root: Path,
    part: int,
    upto: int,
    providers: dict[str, str],
    damage: list[Damage],
) -> tuple[Sealed | None, list[int]]:
    """Step 2: write both parts of what the journal holds up to an entry, and say which entries.

    Args and errors are those of :func:`write_parts`; ``damage`` is told of damaged entries.
    """
    batch = collect(read_entries(db, upto=upto, damage=damage))
    sealed = write_parts(root, part, batch, providers)
    return sealed, [] if sealed is None else sealed.seqs(batch)


def collect(entries: Iterable[tuple[int, Intent | AttemptResult]]) -> Batch:
    """Numbered entries, by trial, in journal order."""
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


def write_parts(root: Path, part: int, batch: Batch, providers: dict[str, str]) -> Sealed | None:
    """Write both parts of a batch, or keep those an interrupted seal has written; None for nothing.

    Raises:
        StorageError: the disk refused.
    """
    kept = _kept(root, "records", part, ["trial_id", "status"])
    if kept is None and not batch.finals:
        return None
    known = record_table(list(batch.finals.values()), providers) if kept is None else kept
    trial_ids = [str(trial) for trial in known["trial_id"].to_pylist()]
    # Attempts without records are written again: they must be those of the records to come.
    tried = None if kept is None else _kept(root, "attempts", part, ["outcome"])
    if tried is None:
        results = [result for trial in trial_ids for result in batch.attempts.get(trial, [])]
        tried = attempt_table(results)
        write_table(root / "attempts" / part_name(part), tried)
    if kept is None:
        write_table(root / "records" / part_name(part), known)
    return Sealed(
        parts=[
            describe(root, root / name / part_name(part), rows=len(table))
            for name, table in (("records", known), ("attempts", tried))
        ],
        trial_ids=trial_ids,
        statuses=[str(status) for status in known["status"].to_pylist()],
        outcomes=_outcomes(tried),
    )


def kept_attempts(root: Path, part: int) -> Sealed | None:
    """An attempts part alone, whose records were never written; None where it is damaged."""
    tried = _kept(root, "attempts", part, ["outcome"])
    if tried is None:
        return None
    described = describe(root, root / "attempts" / part_name(part), rows=len(tried))
    return Sealed(parts=[described], trial_ids=[], statuses=[], outcomes=_outcomes(tried))


def kept_trials(path: Path) -> list[str]:
    """The trials of a part that has its name already; none where it is damaged."""
    table = _kept(path.parent.parent, path.parent.name, part_number(path), ["trial_id"])
    return [] if table is None else [str(trial) for trial in table["trial_id"].to_pylist()]


def _outcomes(attempts: pa.Table) -> list[str]:
    return [str(outcome) for outcome in attempts["outcome"].to_pylist()]


def _kept(root: Path, table: str, part: int, columns: list[str]) -> pa.Table | None:
    """Columns of a part that has its name already, None when it has not or is damaged."""
    import pyarrow as pa

    path = root / table / part_name(part)
    try:
        return read_parquet(path, columns) if path.exists() else None
    except (pa.ArrowException, OSError):
        return None


def list_parts(folder: RunFolder, sealed: Sealed) -> None:
    """Put sealed parts into the manifest; a repeated seal replaces its own earlier entries."""
    names = {p.path for p in sealed.parts}
    fresh = {name.split("/")[0] for name in names - {p.path for p in folder.manifest.parts}}
    kept = [p for p in folder.manifest.parts if p.path not in names]
    all_parts = sorted([*kept, *sealed.parts], key=lambda p: p.path)
    counts = Counter(folder.manifest.by_status)
    in_doubt = folder.manifest.in_doubt
    if "records" in fresh:
        counts.update(sealed.statuses)
    if "attempts" in fresh:
        in_doubt += sealed.outcomes.count("in_doubt")
    folder.save_parts(
        sealed.parts, parts=all_parts, by_status=dict(sorted(counts.items())), in_doubt=in_doubt
    )


def drop(db: sqlite3.Connection, part: int, seqs: list[int]) -> None:
    """Delete sealed entries and the seal itself, in the caller's transaction.

    Only the given entries go, but by whole stretches of numbers: nothing can be appended before
    the transaction ends.
    """
    db.executemany("DELETE FROM entry WHERE seq BETWEEN ? AND ?", _stretches(seqs))
    db.execute("DELETE FROM seal WHERE part = ?", (part,))


def _stretches(seqs: list[int]) -> list[tuple[int, int]]:
    """Numbers as (first, last) of the stretches they make without a gap."""
    found: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if found and seq == found[-1][1] + 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found


def next_part_number(folder: RunFolder) -> int:
    """One more than the highest part in the manifest or on disk, also of those moved aside."""
    taken = [Path(part.path) for part in folder.manifest.parts]
    for name in ("records", "attempts"):
        taken += (folder.root / name).glob("part-*")
    return max(map(part_number, taken), default=0) + 1
