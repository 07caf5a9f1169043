"""What is new in the journal of a run that is being written, by short reads of another process.

Each read is one statement on a connection of its own, which is closed at once: a reader that stays
would keep the writer from shortening its log.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from evalharness.errors import StorageError
from evalharness.store.journal.journal_format import (
    Damage,
    JournalEntry,
    connect_for_reading,
    read_entries,
)

_ROWS = 2_000  # of one read
_BOUNDS = "SELECT (SELECT min(seq) FROM entry), (SELECT max(seq) FROM entry)"


class JournalTail:
    """Gives the entries of one journal, each once; a journal that begins anew is read anew.

    Args:
        path: the file; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first = self._last = 0

    def read_new(self) -> list[JournalEntry]:
        """The next entries, some thousands at most; empty where there are none.

        Raises:
            StorageError: the journal cannot be read.
        """
        db = connect_for_reading(self._path)
        if db is None:
            return []
        with closing(db):
            try:
                oldest, newest = db.execute(_BOUNDS).fetchone()
            except sqlite3.Error as error:
                raise StorageError(f"the journal cannot be read: {error}") from error
            if newest is None:  # numbers begin anew once all entries are in parts
                self._first = self._last = 0
                return []
            if newest < self._last or oldest < self._first:
                self._last = 0
            self._first = oldest
            if newest == self._last:
                return []
            first, last = self._last + 1, min(newest, self._last + _ROWS)
            damage: list[Damage] = []  # is reported when the folder is opened for writing
            entries = list(read_entries(db, damage=damage, first_seq=first, last_seq=last))
        self._last = last
        return entries
