"""Merges workers' journals into the main journal, and their counts into the driver's store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

from evalharness.distributed.backlog import add_attempts
from evalharness.distributed.messages import EarlierAttempts
from evalharness.records import AttemptResult, Intent
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal import duplicate_attempts, worker_journals
from evalharness.store.journal.crash_recovery import recover_entries
from evalharness.store.journal.journal_format import Damage, read_entries
from evalharness.store.parts.part_files import PATTERN, read_sealed
from evalharness.store.parts.setting_columns import SettingColumns


class MergedJournal(NamedTuple):
    """What a worker's journal held that is in no part.

    Attributes:
        finals: results that are records.
        in_doubt: intents without a result.
        results: of all attempts.
    """

    finals: list[AttemptResult]
    in_doubt: list[Intent]
    results: list[AttemptResult]


def earlier_attempts(store: RunStore) -> EarlierAttempts:
    """Attempts in the main journal of trials without a record; call it before ``store`` starts."""
    damage: list[Damage] = []  # recovery has reported it already
    attempts: EarlierAttempts = {}
    for _, value in read_entries(store.journal.connection, damage=damage):
        if isinstance(value, AttemptResult) and not value.final:
            trial = value.intent.trial_id
            if trial in store.recovery.unfinished:
                attempts.setdefault(trial, []).append(value)
    return attempts


async def merge_journal(
    store: RunStore,
    journal: Path,
    settings: dict[str, SettingColumns],
    earlier: EarlierAttempts,
    *,
    may_be_repeated: bool = False,
) -> MergedJournal:
    """Merge the journal of a worker that has ended into the main one; updates ``earlier``.

    Nobody else may change the manifest meanwhile. Attempts of other workers that it had recorded
    are in ``earlier`` already, and stay. With ``may_be_repeated`` it may have been merged before;
    then entries that are in parts since that time are left out.

    Raises:
        RunInUseError: the worker is alive.
        StorageError: the disk refused; nothing was changed.
    """
    entries, damage = await asyncio.to_thread(
        worker_journals.read_worker_journal, store.folder, journal, settings
    )
    if may_be_repeated and entries:
        recorded = await asyncio.to_thread(
            _recorded_trials, store, {trial for trial, _, _ in entries}
        )
        entries = {key: value for key, value in entries.items() if key[0] not in recorded}
    earlier_keys = {
        (trial, r.intent.attempt) for trial, results in earlier.items() for r in results
    }
    entries = {key: value for key, value in entries.items() if key[:2] not in earlier_keys}
    merged = await merge_entries(store, entries, earlier)
    await asyncio.to_thread(worker_journals.remove_journal, journal)
    store.recovery.damage += damage
    return merged


async def merge_entries(
    store: RunStore,
    entries: dict[tuple[str, int, bool], Intent | AttemptResult],
    earlier: EarlierAttempts,
) -> MergedJournal:
    """Add entries to the main journal; an intent without a result is in doubt from now on.

    Raises:
        StorageError: the disk refused.
    """
    state, settled = recover_entries(entries.values())
    for result in settled:
        entries[result.intent.trial_id, result.intent.attempt, True] = result
    await store.journal.execute(lambda db: worker_journals.import_entries(db, entries))
    recovery = store.recovery
    recovery.finals += state.finals
    for final in state.finals:
        recovery.unfinished.pop(final.intent.trial_id, None)
        earlier.pop(final.intent.trial_id, None)
    by_trial: dict[str, list[Intent | AttemptResult]] = {}
    for (trial, _, _), value in entries.items():
        by_trial.setdefault(trial, []).append(value)
    for trial in state.unfinished:
        results = by_trial[trial]
        attempts = earlier.setdefault(trial, [])
        numbers = {result.intent.attempt for result in attempts}
        attempts += [
            r for r in results if isinstance(r, AttemptResult) and r.intent.attempt not in numbers
        ]
        recovery.unfinished[trial] = add_attempts(attempts, recovery.unfinished.get(trial))
    results = [value for value in entries.values() if isinstance(value, AttemptResult)]
    return MergedJournal(state.finals, state.newly_in_doubt, results)


def _recorded_trials(store: RunStore, trials: set[str]) -> set[str]:
    recorded: set[str] = set()
    for path in (store.folder.root / "records").glob(PATTERN):
        recorded.update(
            trials.intersection(read_sealed(path, ["trial_id"])["trial_id"].to_pylist())
        )
    return recorded


async def drop_sealed_attempts(store: RunStore, trials: set[str]) -> None:
    """Remove attempts from the main journal that a worker has sealed with their trials."""
    if trials:
        sealed = await asyncio.to_thread(
            duplicate_attempts.sealed_attempts, store.folder.root, trials
        )
        await store.journal.execute(lambda db: duplicate_attempts.drop_attempts(db, sealed))
