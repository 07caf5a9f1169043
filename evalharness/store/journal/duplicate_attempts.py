"""Removes attempts from the main journal that a worker has sealed into a part as well.

Workers of a distributed run get the attempts that earlier processes made at their trials, and seal
them with the record. The attempts are then in a part and in the main journal. They are removed
from the journal at the end of the run or, if that was killed, when the folder is opened next.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.records import Intent
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.journal_format import Damage, read_entries
from evalharness.store.parts.part_files import PATTERN, read_sealed

if TYPE_CHECKING:
    import pyarrow as pa


def drop_duplicate_attempts(store: RunStore, keys: pa.Table) -> None:
    """Remove attempts at trials that are recorded in parts; call it before ``store`` starts.

    Args:
        store: opened for writing.
        keys: of its recorded trials (:meth:`RunStore.done_keys`).

    Raises:
        StorageError: a part is damaged.
    """
    trials = _recorded_trials(store, keys) if store.recovery.unfinished else set[str]()
    if not trials:
        return
    sealed, db = sealed_attempts(store.folder.root, trials), store.journal.connection
    db.execute("BEGIN IMMEDIATE")
    drop_attempts(db, sealed)
    db.execute("COMMIT")
    for trial in trials:
        del store.recovery.unfinished[trial]


def sealed_attempts(root: Path, trials: set[str]) -> set[tuple[str, int]]:
    """Which attempts at some trials are in a part: trial_id and number of each."""
    attempts: set[tuple[str, int]] = set()
    for path in (root / "attempts").glob(PATTERN):
        table = read_sealed(path, ["trial_id", "attempt"])
        ids, numbers = table["trial_id"].to_pylist(), table["attempt"].to_pylist()
        for trial, number in zip(ids, numbers, strict=True):
            if trial in trials:
                attempts.add((str(trial), int(number or 0)))
    return attempts


def drop_attempts(db: sqlite3.Connection, sealed: set[tuple[str, int]]) -> None:
    """Remove attempts from a journal, in the caller's transaction."""
    damage: list[Damage] = []  # recover_journal finds and reports it
    seqs: list[tuple[int]] = []
    for seq, value in read_entries(db, damage=damage):
        intent = value if isinstance(value, Intent) else value.intent
        if (intent.trial_id, intent.attempt) in sealed:
            seqs.append((seq,))
    db.executemany("DELETE FROM entry WHERE seq = ?", seqs)


def _recorded_trials(store: RunStore, keys: pa.Table) -> set[str]:
    """Trials that are unfinished in the main journal and have a record in a part, by trial_id."""
    import pyarrow as pa
    import pyarrow.compute as compute

    damage: list[Damage] = []  # recover_journal has reported it
    trial_of: dict[tuple[str, str, int], str] = {}
    for _, value in read_entries(store.journal.connection, damage=damage):
        intent = value if isinstance(value, Intent) else value.intent
        if intent.trial_id in store.recovery.unfinished:
            trial_of[intent.prompt_id, intent.setting_id, intent.repeat] = intent.trial_id
    calls: Any = compute
    prompts = pa.array([prompt for prompt, _, _ in trial_of], pa.string())
    candidates = keys.filter(calls.is_in(keys["prompt_id"], value_set=prompts))
    columns = (candidates[name].to_pylist() for name in ("prompt_id", "setting_id", "repeat"))
    return {trial_of[key] for key in zip(*columns, strict=True) if key in trial_of}
