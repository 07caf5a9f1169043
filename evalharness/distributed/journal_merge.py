"""The driver takes over what workers leave: journals into the main one, counts into the store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

from evalharness.distributed.backlog import counted_over
from evalharness.distributed.messages import Earlier
from evalharness.records import AttemptResult, Intent
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal import duplicate_attempts, worker_journals
from evalharness.store.journal.crash_recovery import settle
from evalharness.store.journal.journal_format import Damage, read_entries
from evalharness.store.parts.part_files import PATTERN, read_sealed


class Adopted(NamedTuple):
    """What a worker's journal held that no part does.

    Attributes:
        finals: answers; they count as recorded.
        in_doubt: attempts nobody heard back from.
        results: what came of all attempts.
    """

    finals: list[AttemptResult]
    in_doubt: list[Intent]
    results: list[AttemptResult]


def earlier_attempts(store: RunStore) -> Earlier:
    """Attempts in the main journal of trials without a record; call it before ``store`` starts."""
    damage: list[Damage] = []  # recovery has reported it
    found: Earlier = {}
    for _, value in read_entries(store.journal.connection, damage=damage):
        if isinstance(value, AttemptResult) and not value.final:
            trial = value.intent.trial_id
            if trial in store.recovered.unfinished:
                found.setdefault(trial, []).append(value)
    return found


async def adopt(
    store: RunStore,
    left: Path,
    providers: dict[str, str],
    earlier: Earlier,
    *,
    again: bool = False,
) -> Adopted:
    """Take over the journal of a worker that has ended, and bring ``earlier`` up to date.

    Nobody else may change the manifest meanwhile. Attempts of others that it carried are in
    ``earlier``, and stay. With ``again`` it may have been taken over before: what is in parts
    since then is left out.

    Raises:
        RunInUseError: the worker is alive.
        StorageError: the disk refused; everything is where it was.
    """
    entries, damage = await asyncio.to_thread(
        worker_journals.read_left, store.folder, left, providers
    )
    if again and entries:
        recorded = await asyncio.to_thread(_recorded, store, {trial for trial, _, _ in entries})
        entries = {key: value for key, value in entries.items() if key[0] not in recorded}
    have = {(trial, r.intent.attempt) for trial, results in earlier.items() for r in results}
    entries = {key: value for key, value in entries.items() if key[:2] not in have}
    adopted = await take_in(store, entries, earlier)
    await asyncio.to_thread(worker_journals.discard, left)
    store.recovered.damage += damage
    return adopted


async def take_in(
    store: RunStore, entries: dict[tuple[str, int, bool], Intent | AttemptResult], earlier: Earlier
) -> Adopted:
    """Add entries to the main journal; an intent without a result is in doubt from now on.

    Raises:
        StorageError: the disk refused.
    """
    state, settled = settle(entries.values())
    for result in settled:
        entries[result.intent.trial_id, result.intent.attempt, True] = result
    await store.journal.execute(lambda db: worker_journals.take_over(db, entries))
    recovered = store.recovered
    recovered.finals += state.finals
    for final in state.finals:
        recovered.unfinished.pop(final.intent.trial_id, None)
        earlier.pop(final.intent.trial_id, None)
    by_trial: dict[str, list[Intent | AttemptResult]] = {}
    for (trial, _, _), value in entries.items():
        by_trial.setdefault(trial, []).append(value)
    for trial in state.unfinished:
        results = by_trial[trial]
        mine = earlier.setdefault(trial, [])
        have = {result.intent.attempt for result in mine}
        mine += [
            r for r in results if isinstance(r, AttemptResult) and r.intent.attempt not in have
        ]
        recovered.unfinished[trial] = counted_over(mine, recovered.unfinished.get(trial))
    results = [value for value in entries.values() if isinstance(value, AttemptResult)]
    return Adopted(state.finals, state.newly_in_doubt, results)


def _recorded(store: RunStore, trials: set[str]) -> set[str]:
    found: set[str] = set()
    for path in (store.folder.root / "records").glob(PATTERN):
        found.update(trials.intersection(read_sealed(path, ["trial_id"])["trial_id"].to_pylist()))
    return found


async def drop_handed_over(store: RunStore, trials: set[str]) -> None:
    """Remove attempts from the main journal that whoever recorded their trials has sealed."""
    if trials:
        sealed = await asyncio.to_thread(
            duplicate_attempts.sealed_attempts, store.folder.root, trials
        )
        await store.journal.execute(lambda db: duplicate_attempts.drop(db, sealed))
