"""What people say of records, as columns of the table."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from evalharness.store.folder.annotations import Annotation, Annotations, Mark


class RecordMarks(NamedTuple):
    """A mark and a note of each record that has one of both; three columns of one length."""

    trial_ids: tuple[str, ...] = ()
    marks: tuple[str | None, ...] = ()
    notes: tuple[str | None, ...] = ()

    def columns(self) -> list[list[str | None]]:
        """The columns as they are bound in a query."""
        return [[*self.trial_ids], [*self.marks], [*self.notes]]


def record_marks(annotations: Annotations, reader: str) -> RecordMarks:
    """The marks of one reader; of all of them where ``reader`` is empty.

    Of several readers the mark is that of most, null where they are split, and every note is a
    line: as ``evalharness export`` has them.
    """
    by_trial: dict[str, list[Annotation]] = defaultdict(list)
    for row in sorted(annotations.rows, key=lambda row: row.reader):
        if not reader or row.reader == reader:
            by_trial[row.trial_id].append(row)
    return RecordMarks(
        tuple(by_trial),
        tuple(_mark(rows) for rows in by_trial.values()),
        tuple(_note(rows) for rows in by_trial.values()),
    )


def _mark(rows: list[Annotation]) -> str | None:
    passed = sum(row.mark == Mark.PASS for row in rows)
    failed = sum(row.mark == Mark.FAIL for row in rows)
    if passed == failed:
        return None
    return (Mark.PASS if passed > failed else Mark.FAIL).value


def _note(rows: list[Annotation]) -> str | None:
    return "\n".join(row.note for row in rows if row.note is not None) or None
