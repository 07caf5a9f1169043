"""Journals of the workers of a distributed run, and their merge into the main journal.

A worker keeps its journal in ``journal/worker-…/`` and seals parts from it into the run folder.
When a worker was killed, its entries are merged into the main journal, and
:mod:`.crash_recovery` treats them like all others: answers count, attempts without an answer are
in doubt. Every step can be repeated, so a kill in between does no harm. Journals are merged each
time a folder is opened for writing, so a distributed run can be resumed in one process, and the
other way round.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from evalharness.errors import RunInUseError
from evalharness.records import AttemptResult, Intent
from evalharness.store.folder.lock import take_lock
from evalharness.store.folder.run_folder import RunFolder, now_iso
from evalharness.store.journal.crash_recovery import UnfinishedTrial
from evalharness.store.journal.journal_format import (
    FILE_NAME,
    Damage,
    encode_row,
    insert_rows,
    read_entries,
)
from evalharness.store.journal.repair import open_and_repair
from evalharness.store.parts import seal
from evalharness.store.parts.part_files import PATTERN, part_number, read_sealed
from evalharness.store.parts.retry_errors import ATTEMPT_COLUMNS, count_attempts
from evalharness.store.parts.setting_columns import SettingColumns

WORKER_PATTERN = "worker-*"
# A worker ends by itself soon after its driver was killed.
_PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.1

_Key = tuple[str, int, bool]
TrialFilter = Callable[[Collection[str]], bool]


def journal_paths(root: Path) -> list[Path]:
    """All journals of a run folder, the main one last, because entries move into it."""
    journal = root / "journal"
    return [*sorted(journal.glob(f"{WORKER_PATTERN}/{FILE_NAME}")), journal / FILE_NAME]


def merge_all(
    folder: RunFolder, main: sqlite3.Connection, settings: dict[str, SettingColumns]
) -> list[Damage]:
    """Merge all journals that workers left into the main journal; returns their damage.

    Raises:
        RunInUseError: a worker of an earlier session is still alive.
        StorageError: the disk refused.
    """
    names = [path.parent.name for path in journal_paths(folder.root)[:-1]]
    worker_folders = [folder.journal_folder / name for name in names]
    damage: list[Damage] = []
    entries: dict[_Key, Intent | AttemptResult] = {}
    with ExitStack() as stack:
        for worker_folder in worker_folders:
            stack.callback(os.close, _lock(worker_folder))
            with closing(_open_and_finish_seals(folder, worker_folder, settings, damage)) as db:
                entries.update(_sound_entries(db, worker_folder.name, damage))
        recorded = list_unlisted_parts(folder, settings).recorded if worker_folders else set[str]()
        import_entries(main, {k: v for k, v in entries.items() if k[0] not in recorded})
        for worker_folder in worker_folders:
            remove_journal(worker_folder)
    return damage


def read_worker_journal(
    folder: RunFolder, worker_folder: Path, settings: dict[str, SettingColumns]
) -> tuple[dict[_Key, Intent | AttemptResult], list[Damage]]:
    """Finish the open seal of a worker that ended; returns its unsealed entries, and damage.

    Raises:
        RunInUseError: the worker is alive.
        StorageError: the disk refused.
    """
    damage: list[Damage] = []
    with (
        hold_lock(worker_folder),
        closing(_open_and_finish_seals(folder, worker_folder, settings, damage)) as db,
    ):
        return dict(_sound_entries(db, worker_folder.name, damage)), damage


def import_entries(main: sqlite3.Connection, entries: dict[_Key, Intent | AttemptResult]) -> None:
    """Add those entries to the main journal that it lacks, in one transaction."""
    if not entries:
        return
    damage: list[Damage] = []  # recover_journal finds and reports it
    known = {_key(value) for _, value in read_entries(main, damage=damage)}
    rows = [encode_row(value) for key, value in entries.items() if key not in known]
    own_transaction = not main.in_transaction
    if own_transaction:
        main.execute("BEGIN IMMEDIATE")
    insert_rows(main, rows)
    if own_transaction:
        main.execute("COMMIT")


def remove_journal(worker_folder: Path) -> None:
    """Remove a journal that was merged; damaged files that repair has kept are moved out first."""
    for backup in worker_folder.glob("damaged-*.sqlite"):
        backup.replace(worker_folder.with_name(f"{worker_folder.name}-{backup.name}"))
    shutil.rmtree(worker_folder)


def _open_and_finish_seals(
    folder: RunFolder,
    worker_folder: Path,
    settings: dict[str, SettingColumns],
    damage: list[Damage],
) -> sqlite3.Connection:
    own_damage: list[Damage] = []
    db = open_and_repair(worker_folder / FILE_NAME, own_damage)
    try:
        seal.finish_open_seals(folder, db, settings, [])
    except BaseException:
        db.close()
        raise
    damage += [_worker_damage(worker_folder.name, item) for item in own_damage]
    return db


def _sound_entries(
    db: sqlite3.Connection, name: str, damage: list[Damage]
) -> Iterator[tuple[_Key, Intent | AttemptResult]]:
    own_damage: list[Damage] = []
    for _, value in read_entries(db, damage=own_damage):
        yield _key(value), value
    damage += [_worker_damage(name, item) for item in own_damage]


def _key(value: Intent | AttemptResult) -> _Key:
    intent = value if isinstance(value, Intent) else value.intent
    return intent.trial_id, intent.attempt, isinstance(value, AttemptResult)


def _worker_damage(name: str, item: Damage) -> Damage:
    """Damage of a worker's journal, without its row number, which the main journal lacks."""
    return Damage(0, f"journal of {name}: {item.reason}", item.size)


class PartListing(NamedTuple):
    """The trials in parts that were newly listed.

    Attributes:
        recorded: trials that have a record in them.
        unfinished: trials with attempts in them whose records were never written, by trial_id.
    """

    recorded: set[str]
    unfinished: dict[str, UnfinishedTrial]


def list_unlisted_parts(
    folder: RunFolder,
    settings: dict[str, SettingColumns],
    *,
    trial_filter: TrialFilter | None = None,
) -> PartListing:
    """List parts on disk that neither the manifest nor an open seal names.

    There are such parts when a journal was damaged or lost during a seal, or when the disk has
    lost a line of the parts log. A part gets its name only when it is complete. Attempts whose
    records were never written are listed, too: they were sent, and their numbers are not used
    again.

    Args:
        folder: open for writing.
        settings: by setting_id.
        trial_filter: tells from its trials whether a part is to be listed; None lists all. While
            workers write the folder, their parts are left out: records may still follow, and the
            worker itself lists them.
    """
    listing = PartListing(set(), {})
    for path in _unlisted_paths(folder, "records", trial_filter):
        if not (folder.root / "attempts" / path.name).exists():
            folder.manifest.notes.append(
                f"{now_iso()}: the attempts of records/{path.name} are gone: what they cost is "
                "not counted"
            )
        sealed = seal.write_parts(folder.root, part_number(path), seal.Batch({}, {}, {}), settings)
        if sealed is not None:
            seal.list_parts(folder, sealed)
            listing.recorded.update(sealed.trial_ids)
    for path in _unlisted_paths(folder, "attempts", trial_filter):
        alone = not (folder.root / "records" / path.name).exists()
        sealed = seal.existing_attempts(folder.root, part_number(path)) if alone else None
        if sealed is not None:
            folder.manifest.reopened = True
            seal.list_parts(folder, sealed)
            listing.unfinished.update(count_attempts(read_sealed(path, ATTEMPT_COLUMNS)))
    return listing


def _unlisted_paths(folder: RunFolder, table: str, trial_filter: TrialFilter | None) -> list[Path]:
    listed = {part.path for part in folder.manifest.parts}
    paths = sorted((folder.root / table).glob(PATTERN))
    unlisted = [path for path in paths if f"{table}/{path.name}" not in listed]
    if trial_filter is None:
        return unlisted
    return [path for path in unlisted if trial_filter(seal.existing_trials(path))]


@contextmanager
def hold_lock(worker_folder: Path) -> Generator[None]:
    """Hold the lock of a worker's journal; waits up to 30 s for the worker to end.

    Raises:
        RunInUseError: the worker is still alive then.
    """
    lock = _lock(worker_folder)
    try:
        yield
    finally:
        os.close(lock)


def _lock(worker_folder: Path) -> int:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return take_lock(worker_folder)
        except RunInUseError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_LOOK_EVERY_S)
