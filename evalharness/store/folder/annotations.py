"""``annotations.parquet``: what people say of single records, beside ``run.json``.

A row is what one reader says of one record: passed, failed, a note. It is no part of what was
measured: no record changes, it needs no lock of the run, and it can be changed while the run goes
on. The file is replaced as a whole, after a sync, so that a process that is killed loses at most
the change that it had not reported as done. Of a run in an object store, the store's file is the
one that counts; the file of a local copy is a copy of it.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from evalharness.columnar.arrow_ops import conform, lacks_only_nullable, read_parquet
from evalharness.errors import StorageError
from evalharness.process.memory import raise_if_out_of_memory
from evalharness.schema import arrow_schema
from evalharness.store.folder.durable_files import (
    make_folder,
    ops,
    sync_folder,
    write_bytes_durably,
)
from evalharness.store.parts.part_files import write_table
from evalharness.store.remote.object_store import RemoteFolder
from evalharness.store.remote.sync import ANNOTATIONS, find_sync

if TYPE_CHECKING:
    import pyarrow as pa

READER = "EVALHARNESS_READER"  # the variable that names who reads
_ATTEMPTS = 20  # of replacing a file in a store that others replace as well
_SCRATCH = ".annotations.parquet.store"  # the store's content while it is read or written here


class Mark(StrEnum):
    """What a reader says of an output."""

    PASS = "pass"  # noqa: S105 — no password
    FAIL = "fail"


class Annotation(msgspec.Struct, kw_only=True, frozen=True):
    """What one reader says of one record: a row of ``annotations.parquet``.

    Attributes:
        trial_id, prompt_id, setting_id, repeat: of the record.
        mark: None where there is only a note.
        note: a text; None without one.
        reader: who says so.
        marked_at: nanoseconds since the epoch of the last change.
    """

    trial_id: str
    prompt_id: str
    setting_id: str
    repeat: int
    mark: Mark | None
    note: str | None
    reader: str
    marked_at: int


class TrialKey(NamedTuple):
    """The record that an edit is about, as its row in the records table has it."""

    trial_id: str
    prompt_id: str
    setting_id: str
    repeat: int


class Edit(msgspec.Struct, kw_only=True, frozen=True):
    """A change by one reader of what is said of one record; what is unset stays as it is.

    Attributes:
        trial: the record.
        reader: who changes it.
        mark: None takes the mark away.
        note: None takes the note away.
        marked_at: nanoseconds since the epoch; None is now.
    """

    trial: TrialKey
    reader: str
    mark: Mark | UnsetType | None = UNSET
    note: str | UnsetType | None = UNSET
    marked_at: int | None = None


class Annotations(NamedTuple):
    """The content of ``annotations.parquet``.

    Attributes:
        rows: in the order in which records were first marked.
        damage: why the file cannot be read; None where it can, or where there is none.
    """

    rows: list[Annotation]
    damage: str | None = None


class Change(NamedTuple):
    """What a change left.

    Attributes:
        rows: all rows after it.
        set_aside: a damaged file that was found and renamed; None mostly.
    """

    rows: list[Annotation]
    set_aside: Path | None = None


def reader_name() -> str:
    """Who reads: ``EVALHARNESS_READER``, else the name of the user."""
    named = os.environ.get(READER, "").strip()
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user has no entry in the system's list
        return f"user {os.getuid()}"


def read_annotations(root: Path) -> Annotations:
    """What people say of the records of a run folder; a damaged file is said, and left alone."""
    return _read(root / ANNOTATIONS)


def whole_annotations(root: Path) -> list[Annotation]:
    """The rows, for a use that must not pass over any.

    Raises:
        StorageError: the file is damaged.
    """
    annotations = read_annotations(root)
    if annotations.damage is not None:
        raise StorageError(
            f"{root / ANNOTATIONS} {annotations.damage}",
            hint="put a copy of it back; else the next mark renames it and begins a new one",
        )
    return annotations.rows


def change_annotations(root: Path, edits: Sequence[Edit]) -> Change:
    """Apply edits durably, all of them or none.

    Of several processes that do so at once, none undoes what another did. A file that is damaged is
    renamed, and a new one begun.

    Raises:
        StorageError: the disk or the store refused; nothing was changed.
    """
    try:
        folder = os.open(root, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"cannot open {root}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # run.lock is another file: the run itself may go on
        sync = find_sync(root)
        if sync is not None:
            return _change_in_store(root, sync.remote, edits)
        path = root / ANNOTATIONS
        before = _read(path)
        damaged_copy = None if before.damage is None else _set_aside(path)
        rows = apply_edits(before.rows, edits)
        write_table(path, annotation_table(rows))
        return Change(rows, damaged_copy)
    finally:
        os.close(folder)


def apply_edits(rows: Iterable[Annotation], edits: Sequence[Edit]) -> list[Annotation]:
    """The rows after edits; one that is left with neither mark nor note is gone."""
    by_key = {(row.trial_id, row.reader): row for row in rows}
    for edit in edits:
        key = edit.trial.trial_id, edit.reader
        before = by_key.get(key)
        mark = (before and before.mark) if edit.mark is UNSET else edit.mark
        note = (before and before.note) if edit.note is UNSET else edit.note
        if mark is None and note is None:
            by_key.pop(key, None)
            continue
        marked_at = time.time_ns() if edit.marked_at is None else edit.marked_at
        by_key[key] = Annotation(
            **edit.trial._asdict(), mark=mark, note=note, reader=edit.reader, marked_at=marked_at
        )
    return list(by_key.values())


def annotation_table(rows: Sequence[Annotation]) -> pa.Table:
    """The rows as Arrow, with the columns of ``docs/schema.md``."""
    import pyarrow as pa

    values = [msgspec.structs.asdict(row) for row in rows]
    schema = arrow_schema("annotations")
    columns = {name: [row[name] for row in values] for name in schema.names}
    columns["mark"] = [None if mark is None else mark.value for mark in columns["mark"]]
    return pa.table(columns, schema=schema)


def annotation_bytes(rows: Sequence[Annotation]) -> bytes:
    """The rows as a Parquet file, to be sent somewhere."""
    import pyarrow as pa
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet
    sink = pa.BufferOutputStream()
    parquet.write_table(annotation_table(rows), sink)
    return sink.getvalue().to_pybytes()


def find_damage(root: Path) -> str | None:
    """Why ``annotations.parquet`` cannot be read; None where it can, or where there is none."""
    return _read(root / ANNOTATIONS).damage


def _read(path: Path) -> Annotations:
    import pyarrow as pa

    schema = arrow_schema("annotations")
    try:
        table = read_parquet(path)
        if not lacks_only_nullable(table.schema, schema):
            return Annotations([], "its columns are not those of the schema")
        table = conform(table, schema)
        return Annotations(msgspec.convert(_plain_rows(table), list[Annotation]))
    except FileNotFoundError:
        return Annotations([])
    except (pa.ArrowException, OSError, msgspec.ValidationError) as error:
        raise_if_out_of_memory(error)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Annotations([], f"cannot be read: {reason}")


def _plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    import pyarrow

    pa: Any = pyarrow
    at = table.column_names.index("marked_at")
    return table.set_column(at, "marked_at", table["marked_at"].cast(pa.int64())).to_pylist()


def _set_aside(path: Path) -> Path:
    """Rename a damaged file to a name that nothing has."""
    damaged_copy = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    try:
        ops.replace(path, damaged_copy)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot rename {path.name}: {error.strerror}") from error
    return damaged_copy


def _change_in_store(root: Path, remote: RemoteFolder, edits: Sequence[Edit]) -> Change:
    """Change the store's file: by conditional writes, again where another was faster."""
    make_folder(root)
    scratch = root / _SCRATCH
    damaged_copy: Path | None = None
    try:
        for _ in range(_ATTEMPTS):
            stored = remote.read_versioned(ANNOTATIONS)
            before = Annotations([])
            if stored is not None:
                write_bytes_durably(scratch, stored.content)
                before = _read(scratch)
            if stored is not None and before.damage is not None:
                damaged_copy = root / f"{ANNOTATIONS}.damaged-{time.time_ns()}"
                write_bytes_durably(damaged_copy, stored.content)
            rows = apply_edits(before.rows, edits)
            write_table(scratch, annotation_table(rows))
            content = scratch.read_bytes()
            done = (
                remote.create(ANNOTATIONS, content)
                if stored is None
                else remote.replace(ANNOTATIONS, content, stored.version)
            )
            if done:
                write_bytes_durably(root / ANNOTATIONS, content)
                return Change(rows, damaged_copy)
    finally:
        scratch.unlink(missing_ok=True)
    raise StorageError(
        f"{remote.url}/{ANNOTATIONS} is being changed elsewhere all the time", hint="try again"
    )
