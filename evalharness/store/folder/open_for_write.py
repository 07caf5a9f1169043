"""What the sessions before left in a run folder, as whoever opens it for writing finds it."""

from __future__ import annotations

import sqlite3
from collections import Counter

from evalharness.store.folder.run_folder import MANIFEST, UNFINISHED, RunFolder, now_iso
from evalharness.store.journal import worker_journals
from evalharness.store.journal.crash_recovery import Recovered, recover
from evalharness.store.journal.journal import Journal
from evalharness.store.journal.journal_format import FILE_NAME, Damage, unreadable
from evalharness.store.parts import seal


def missing_journal(folder: RunFolder) -> list[Damage]:
    """What a journal that is gone means: a run that was not finished had one."""
    path = folder.journal_folder / FILE_NAME
    has_content = path.exists() and path.stat().st_size > 0
    if folder.manifest.status not in UNFINISHED or has_content:
        return []
    if not (folder.root / MANIFEST).exists():  # the first start of this run
        return []
    return [Damage(0, "the journal is gone, with every answer not sealed yet")]


def recover_folder(
    folder: RunFolder, journal: Journal, providers: dict[str, str], damage: list[Damage]
) -> Recovered:
    """Finish what was being sealed, list every part, and read the rest of the journal.

    Args:
        folder: open for writing.
        journal: not started yet.
        providers: by setting_id.
        damage: what was found so far.

    Raises:
        StorageError: the journal cannot be read, a part is damaged, or the disk refused.
    """
    db = journal.connection
    try:
        if damage:
            _reopen_last_seal(folder, db)
        found: list[Damage] = []  # recovery finds and reports it again
        seal.finish_open_seals(folder, db, providers, found)
        worker_journals.list_unlisted(folder, providers)
        return recover(db, damage)
    except sqlite3.Error as error:
        raise unreadable(journal.path, error) from error


def _reopen_last_seal(folder: RunFolder, db: sqlite3.Connection) -> None:
    """A damaged journal may have lost the seal it was in; finishing it twice does no harm."""
    number = seal.next_part_number(folder) - 1
    upto = db.execute("SELECT max(seq) FROM entry").fetchone()[0]
    if number and upto is not None:
        db.execute("INSERT OR IGNORE INTO seal (part, upto) VALUES (?, ?)", (number, upto))


def note_damage(folder: RunFolder, damage: list[Damage]) -> None:
    """Keep in the manifest what recovery found, for every later report."""
    if damage:
        found = Counter(d.reason for d in damage)
        what = "; ".join(f"{reason} ({count}×)" for reason, count in found.items())
        folder.manifest.notes.append(f"{now_iso()}: damage in the journal: {what}")
