"""Attempts in the main journal whose trial somebody else has recorded, and them with it.

Workers of a distributed run get the attempts that earlier processes made at their trials, and seal
them with the record. The main journal then has them twice; they are removed from it at the end of
the run, or, where that was killed, when the folder is opened next.
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


def drop_recorded(store: RunStore, keys: pa.Table) -> None:
    """Remove attempts at trials that are recorded in parts; call it before ``store`` starts.

    Args:
        store: opened for writing.
        keys: of its recorded trials (:meth:`RunStore.done_keys`).

    Raises:
        StorageError: a part is damaged.
    """
    trials = _recorded(store, keys) if store.recovered.unfinished else set[str]()
    if not trials:
        return
    sealed, db = sealed_attempts(store.folder.root, trials), store.journal.connection
    db.execute("BEGIN IMMEDIATE")
    drop(db, sealed)
    db.execute("COMMIT")
    for trial in trials:
        del store.recovered.unfinished[trial]


def sealed_attempts(root: Path, trials: set[str]) -> set[tuple[str, int]]:
    """Which attempts at some trials are in a part: trial_id and number of each."""
    found: set[tuple[str, int]] = set()
    for path in (root / "attempts").glob(PATTERN):
        table = read_sealed(path, ["trial_id", "attempt"])
        ids, numbers = table["trial_id"].to_pylist(), table["attempt"].to_pylist()
        for trial, number in zip(ids, numbers, strict=True):
            if trial in trials:
                found.add((str(trial), int(number or 0)))
    return found


def drop(db: sqlite3.Connection, sealed: set[tuple[str, int]]) -> None:
    """Remove attempts from a journal, in the caller's transaction."""
    damage: list[Damage] = []  # recovery finds and reports it
    gone: list[tuple[int]] = []
    for seq, value in read_entries(db, damage=damage):
        intent = value if isinstance(value, Intent) else value.intent
        if (intent.trial_id, intent.attempt) in sealed:
            gone.append((seq,))
    db.executemany("DELETE FROM entry WHERE seq = ?", gone)


def _recorded(store: RunStore, keys: pa.Table) -> set[str]:
    """Trials without a record in the main journal that have one after all, by trial_id."""
    import pyarrow as pa
    import pyarrow.compute as compute

    damage: list[Damage] = []  # recovery has reported it
    trial_of: dict[tuple[str, str, int], str] = {}
    for _, value in read_entries(store.journal.connection, damage=damage):
        intent = value if isinstance(value, Intent) else value.intent
        if intent.trial_id in store.recovered.unfinished:
            trial_of[intent.prompt_id, intent.setting_id, intent.repeat] = intent.trial_id
    calls: Any = compute
    prompts = pa.array([prompt for prompt, _, _ in trial_of], pa.string())
    near = keys.filter(calls.is_in(keys["prompt_id"], value_set=prompts))
    columns = (near[name].to_pylist() for name in ("prompt_id", "setting_id", "repeat"))
    return {trial_of[key] for key in zip(*columns, strict=True) if key in trial_of}
