"""Journals beside the main one: a run on several workers has one for each of them.

A worker keeps its journal in ``journal/worker-…/`` while it lives, and seals parts from it into
the run folder. What a worker leaves that was killed is taken over into the main journal, where
recovery treats it like all else: answers count, attempts without an answer are in doubt. Every
step can be repeated, so a kill in between changes nothing. It happens whenever a folder is opened
for writing, so a run on workers goes on in one process, and the other way round.
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
from evalharness.store.journal.crash_recovery import Unfinished
from evalharness.store.journal.journal_format import (
    FILE_NAME,
    Damage,
    encode_row,
    insert_rows,
    read_entries,
)
from evalharness.store.journal.repair import open_for_writing
from evalharness.store.parts import seal
from evalharness.store.parts.part_files import PATTERN, part_number, read_sealed
from evalharness.store.parts.retry_errors import COUNTED, count_attempts

WORKERS = "worker-*"
# A worker whose driver was killed needs a moment to notice, and ends by itself.
_PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.1

_Key = tuple[str, int, bool]
Ours = Callable[[Collection[str]], bool]


def journal_paths(root: Path) -> list[Path]:
    """Every journal of a run folder, the main one last: entries only ever move into that."""
    journal = root / "journal"
    return [*sorted(journal.glob(f"{WORKERS}/{FILE_NAME}")), journal / FILE_NAME]


def adopt_all(
    folder: RunFolder, main: sqlite3.Connection, providers: dict[str, str]
) -> list[Damage]:
    """Take over every journal that workers have left; returns what was wrong with them.

    Raises:
        RunInUseError: a worker of an earlier session is still alive.
        StorageError: the disk refused.
    """
    found = [folder.journal_folder / path.parent.name for path in journal_paths(folder.root)[:-1]]
    damage: list[Damage] = []
    entries: dict[_Key, Intent | AttemptResult] = {}
    with ExitStack() as stack:
        for left in found:
            stack.callback(os.close, _lock(left))
            with closing(_settled(folder, left, providers, damage)) as db:
                entries.update(_sound(db, left.name, damage))
        recorded = list_unlisted(folder, providers).recorded if found else set[str]()
        take_over(main, {k: v for k, v in entries.items() if k[0] not in recorded})
        for left in found:
            discard(left)
    return damage


def read_left(
    folder: RunFolder, left: Path, providers: dict[str, str]
) -> tuple[dict[_Key, Intent | AttemptResult], list[Damage]]:
    """Finish the seal a dead worker was in; its entries that no part holds, and damage.

    Raises:
        RunInUseError: it is alive.
        StorageError: the disk refused.
    """
    damage: list[Damage] = []
    with locked(left), closing(_settled(folder, left, providers, damage)) as db:
        return dict(_sound(db, left.name, damage)), damage


def take_over(main: sqlite3.Connection, entries: dict[_Key, Intent | AttemptResult]) -> None:
    """Add entries to the main journal, in one transaction, unless it has them."""
    if not entries:
        return
    damage: list[Damage] = []  # recovery finds and reports it
    known = {_key(value) for _, value in read_entries(main, damage=damage)}
    fresh = [encode_row(value) for key, value in entries.items() if key not in known]
    began = not main.in_transaction
    if began:
        main.execute("BEGIN IMMEDIATE")
    insert_rows(main, fresh)
    if began:
        main.execute("COMMIT")


def discard(left: Path) -> None:
    """Remove a journal that was taken over; what rescue kept of a damaged file stays."""
    for kept in left.glob("damaged-*.sqlite"):
        kept.replace(left.with_name(f"{left.name}-{kept.name}"))
    shutil.rmtree(left)


def _settled(
    folder: RunFolder, left: Path, providers: dict[str, str], damage: list[Damage]
) -> sqlite3.Connection:
    wrong: list[Damage] = []
    db = open_for_writing(left / FILE_NAME, wrong)
    try:
        seal.finish_open_seals(folder, db, providers, [])
    except BaseException:
        db.close()
        raise
    damage += [_elsewhere(left.name, item) for item in wrong]
    return db


def _sound(
    db: sqlite3.Connection, name: str, damage: list[Damage]
) -> Iterator[tuple[_Key, Intent | AttemptResult]]:
    wrong: list[Damage] = []
    for _, value in read_entries(db, damage=wrong):
        yield _key(value), value
    damage += [_elsewhere(name, item) for item in wrong]


def _key(value: Intent | AttemptResult) -> _Key:
    intent = value if isinstance(value, Intent) else value.intent
    return intent.trial_id, intent.attempt, isinstance(value, AttemptResult)


def _elsewhere(name: str, item: Damage) -> Damage:
    """Damage of another journal: its row numbers mean nothing in this one."""
    return Damage(0, f"journal of {name}: {item.reason}", item.size)


class Listed(NamedTuple):
    """What parts were about that are listed only now.

    Attributes:
        recorded: trials that have their record in them.
        tried: attempts at trials whose records were never written, by trial_id.
    """

    recorded: set[str]
    tried: dict[str, Unfinished]


def list_unlisted(
    folder: RunFolder,
    providers: dict[str, str],
    *,
    ours: Ours | None = None,
) -> Listed:
    """List parts that no journal and no list knows of (any more).

    That is so when a journal was damaged or lost with a seal it was in, or when the disk has lost
    a line of the parts' log. A part has its name only once it is whole. Attempts whose records
    were never written are listed, too: they were sent, and their numbers are not used again.

    Args:
        folder: open for writing.
        providers: by setting_id.
        ours: whether a part with these trials is to be listed; None: all are. While others write
            the folder theirs are not: records may follow, and whoever makes them has them listed.
    """
    found = Listed(set(), {})
    for path in _unlisted(folder, "records", ours):
        if not (folder.root / "attempts" / path.name).exists():
            folder.manifest.notes.append(
                f"{now_iso()}: the attempts of records/{path.name} are gone: what they cost is "
                "not counted"
            )
        sealed = seal.write_parts(folder.root, part_number(path), seal.Batch({}, {}, {}), providers)
        if sealed is not None:
            seal.list_parts(folder, sealed)
            found.recorded.update(sealed.trial_ids)
    for path in _unlisted(folder, "attempts", ours):
        alone = not (folder.root / "records" / path.name).exists()
        sealed = seal.kept_attempts(folder.root, part_number(path)) if alone else None
        if sealed is not None:
            folder.manifest.reopened = True
            seal.list_parts(folder, sealed)
            found.tried.update(count_attempts(read_sealed(path, COUNTED)))
    return found


def _unlisted(folder: RunFolder, table: str, ours: Ours | None) -> list[Path]:
    listed = {part.path for part in folder.manifest.parts}
    paths = sorted((folder.root / table).glob(PATTERN))
    found = [path for path in paths if f"{table}/{path.name}" not in listed]
    return [path for path in found if ours is None or ours(seal.kept_trials(path))]


@contextmanager
def locked(left: Path) -> Generator[None]:
    """Hold a journal whose worker has ended, or does within some 30 s.

    Raises:
        RunInUseError: it is still alive then.
    """
    lock = _lock(left)
    try:
        yield
    finally:
        os.close(lock)


def _lock(left: Path) -> int:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return take_lock(left)
        except RunInUseError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_LOOK_EVERY_S)
