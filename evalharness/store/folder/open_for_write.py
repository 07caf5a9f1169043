"""Repair of a whole run folder, each time it is opened for writing.

Runs the other kinds of repair in order: repeats seals that a killed process left unfinished, lists
parts that the manifest lacks, then recovers the journal
(:mod:`evalharness.store.journal.crash_recovery`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from evalharness.store.folder.run_folder import UNFINISHED, RunFolder, now_iso
from evalharness.store.journal import worker_journals
from evalharness.store.journal.crash_recovery import CrashRecovery, recover_journal
from evalharness.store.journal.journal import Journal
from evalharness.store.journal.journal_format import FILE_NAME, Damage, unreadable_error
from evalharness.store.parts import seal
from evalharness.store.parts.setting_columns import SettingColumns


def check_journal_exists(folder: RunFolder) -> list[Damage]:
    """Damage to report when an unfinished run has lost its journal; else empty."""
    path = folder.journal_folder / FILE_NAME
    has_content = path.exists() and path.stat().st_size > 0
    if folder.manifest.status not in UNFINISHED or has_content:
        return []
    if folder.manifest.is_only_begun:
        return []
    return [Damage(0, "the journal is gone, with every answer not sealed yet")]


def prepare_folder(
    folder: RunFolder, journal: Journal, settings: dict[str, SettingColumns], damage: list[Damage]
) -> CrashRecovery:
    """Finish open seals, list every part, and recover what is left in the journal.

    Args:
        folder: open for writing.
        journal: not started yet.
        settings: by setting_id.
        damage: found so far.

    Raises:
        StorageError: the journal cannot be read, a part is damaged, or the disk refused.
    """
    db = journal.connection
    try:
        if damage:
            _reopen_last_seal(folder, db)
        ignored: list[Damage] = []  # recover_journal finds and reports it again
        seal.finish_open_seals(folder, db, settings, ignored)
        worker_journals.list_unlisted_parts(folder, settings)
        return recover_journal(db, damage)
    except sqlite3.Error as error:
        raise unreadable_error(journal.path, error) from error


def _reopen_last_seal(folder: RunFolder, db: sqlite3.Connection) -> None:
    """A damaged journal may have lost its open seal; finishing a seal twice is harmless."""
    number = seal.next_part_number(folder) - 1
    upto = db.execute("SELECT max(seq) FROM entry").fetchone()[0]
    if number and upto is not None:
        db.execute("INSERT OR IGNORE INTO seal (part, upto) VALUES (?, ?)", (number, upto))


def note_damage(folder: RunFolder, damage: list[Damage]) -> None:
    """Add the damage to the notes of the manifest, which every later report shows."""
    if damage:
        counts = Counter(d.reason for d in damage)
        text = "; ".join(f"{reason} ({count}×)" for reason, count in counts.items())
        folder.manifest.notes.append(f"{now_iso()}: damage in the journal: {text}")
