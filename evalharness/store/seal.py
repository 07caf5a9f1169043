"""Sealing: journal entries become Parquet parts, repeatably after a kill at any point.

1. ``seal(part, upto)`` is committed in the journal: from here on the part's content is decided.
2. The entries up to ``upto`` of every *finished* trial are written as ``records/part-N`` and
   ``attempts/part-N`` (aside, synced, verified, renamed, folder synced).
3. The manifest lists the parts.
4. One transaction deletes those entries and the seal row.

A kill before 4 leaves the seal row, and :func:`finish_open_seal` repeats 2–4 with the same names.
Readers see a trial in a part or in the journal or, briefly, in both; they keep one.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from evalharness.records import AttemptResult, Intent
from evalharness.store.columns import attempt_table, record_table
from evalharness.store.folder import RunFolder
from evalharness.store.journal import Damage, read_entries
from evalharness.store.parts import Part, write_part

# A part of this many trials is a few tens of MB in memory while it is built.
SEAL_TRIALS = 16_384
SEAL_BYTES = 64 * 2**20

# Runs a function inside one journal transaction: Journal.execute while running, a plain
# connection during recovery.
Transact = Callable[[Callable[[sqlite3.Connection], Any]], Any]


class Batch(NamedTuple):
    """What one seal takes out of the journal."""

    finals: list[AttemptResult]
    attempts: list[AttemptResult]
    seqs: list[int]


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


def collect(db: sqlite3.Connection, upto: int, damage: list[Damage]) -> Batch:
    """Entries up to ``upto`` that belong to finished trials, in journal order."""
    seqs: dict[str, list[int]] = {}
    results: dict[str, list[AttemptResult]] = {}
    finals: dict[str, AttemptResult] = {}
    for seq, value in read_entries(db, upto=upto, damage=damage):
        intent = value if isinstance(value, Intent) else value.intent
        seqs.setdefault(intent.trial_id, []).append(seq)
        if isinstance(value, AttemptResult):
            results.setdefault(intent.trial_id, []).append(value)
            if value.final:
                finals.setdefault(intent.trial_id, value)
    return Batch(
        finals=list(finals.values()),
        attempts=[result for trial in finals for result in results[trial]],
        seqs=[seq for trial in finals for seq in seqs[trial]],
    )


def write_parts(
    folder: RunFolder, part: int, batch: Batch, providers: dict[str, str]
) -> list[Part]:
    """Write both parts of a batch and return their manifest entries (none for no finals)."""
    if not batch.finals:
        return []
    return [
        write_part(folder.root, "records", part, record_table(batch.finals, providers)),
        write_part(folder.root, "attempts", part, attempt_table(batch.attempts)),
    ]


def list_parts(folder: RunFolder, parts: list[Part], batch: Batch) -> None:
    """Put sealed parts into the manifest; a repeated seal replaces its own earlier entries."""
    if not parts:
        return
    names = {p.path for p in parts}
    already = any(p.path in names for p in folder.manifest.parts)
    kept = [p for p in folder.manifest.parts if p.path not in names]
    all_parts = sorted([*kept, *parts], key=lambda p: p.path)
    counts = Counter(folder.manifest.by_status)
    in_doubt = folder.manifest.in_doubt
    if not already:
        counts.update(str(r.reply.status) for r in batch.finals)
        in_doubt += sum(1 for r in batch.attempts if r.reply.outcome == "in_doubt")
    folder.save_manifest(
        parts=all_parts,
        recorded=sum(p.rows for p in all_parts if p.path.startswith("records/")),
        by_status=dict(sorted(counts.items())),
        in_doubt=in_doubt,
    )


def drop(db: sqlite3.Connection, part: int, seqs: list[int]) -> None:
    """Delete sealed entries and the seal itself, in the caller's transaction."""
    db.executemany("DELETE FROM entry WHERE seq = ?", [(seq,) for seq in seqs])
    db.execute("DELETE FROM seal WHERE part = ?", (part,))


def next_part_number(folder: RunFolder) -> int:
    """One more than the highest part on disk or in the manifest."""
    taken = [p.path for p in folder.manifest.parts]
    taken += [p.name for p in (folder.root / "records").glob("part-*.parquet")]
    numbers = [int(name.rsplit("-", 1)[1].split(".")[0]) for name in taken]
    return max(numbers, default=0) + 1
