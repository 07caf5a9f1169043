"""Marks of people as columns of exported records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalharness.store.folder.annotations import Annotation, whole_annotations
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("human_mark", "human_note", "reader")


def with_marks(run: Run, records: pa.Table) -> pa.Table:
    """The records with ``human_mark``, ``human_note`` and ``reader``, where anyone marked any.

    The mark is that of most readers, null where they are split; of several notes and readers each
    is a line.

    Raises:
        StorageError: the marks cannot be read.
    """
    import pyarrow as pa

    by_trial: dict[str, list[Annotation]] = {}
    for row in sorted(whole_annotations(run.root), key=lambda row: row.reader):
        by_trial.setdefault(row.trial_id, []).append(row)
    if not by_trial:
        return records
    texts = {trial: _texts(rows) for trial, rows in by_trial.items()}
    nothing = (None, None, None)
    values = [texts.get(str(trial), nothing) for trial in records["trial_id"].to_pylist()]
    for name, column in zip(_COLUMNS, zip(*values, strict=True), strict=True):
        records = records.append_column(name, pa.array(column, pa.string()))
    return records


def _texts(rows: list[Annotation]) -> tuple[str | None, str | None, str]:
    """Mark, notes and readers of one record."""
    passed = sum(row.mark == "pass" for row in rows)
    failed = sum(row.mark == "fail" for row in rows)
    mark = None if passed == failed else "pass" if passed > failed else "fail"
    notes = "\n".join(row.note for row in rows if row.note is not None)
    return mark, notes or None, "\n".join(row.reader for row in rows)
