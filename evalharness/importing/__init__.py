"""Responses from elsewhere as tables of a run: ``evalharness import FILE RUN``.

::

    __init__.py            the file → ImportTables
    columns.py             what each column means
    cells.py               one cell → a typed value
    records_from_rows.py   rows → prompts, settings, repeats, records

``docs/import.md`` is the page for users.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.datasets.rows import read_rows
from evalharness.errors import ConfigError, DatasetError
from evalharness.importing.columns import ColumnReaders
from evalharness.importing.records_from_rows import Header, ImportBuilder
from evalharness.process.text import closest, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ImportTables", "read_import"]

SUFFIXES = (".csv", ".jsonl", ".parquet")
_SIMILAR = 0.75  # how alike a column's name must be to be proposed
_OWN_IDS = {"trial_id", "setting_id"}
# Names that other programs give the time an answer took, in seconds.
_SECONDS = ("seconds", "duration_s", "elapsed", "elapsed_s", "time_s")
_TIMES: dict[str, str] = dict.fromkeys(_SECONDS, "latency_s")


class ImportTables(msgspec.Struct, frozen=True):
    """Tables that conform to :mod:`evalharness.schema`, and notes for the user about them.

    ``answers_supplied`` tells whether the file had an ``answer`` column: then a null answer of a
    record that is no error is unparsed.
    """

    records: pa.Table
    prompts: pa.Table
    settings: pa.Table
    notes: list[str]
    answers_supplied: bool


def read_import(path: str | Path, *, mapping: Mapping[str, str]) -> ImportTables:
    """Read a CSV, JSONL or Parquet file of responses.

    Args:
        path: the file; its suffix tells the format.
        mapping: column names of the file → names as in the records table.

    Raises:
        ConfigError: the mapping names columns that do not exist.
        DatasetError: the file cannot be read as written; names the line and column.

    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DatasetError(
            f"{path.name}: cannot tell the format from {path.suffix or 'no suffix'!r}",
            hint=f"give the file one of the suffixes {', '.join(SUFFIXES)}",
        )
    # Read twice, first for the names of its columns: as Python objects the rows of a large file
    # take ten times its size.
    present = list(dict.fromkeys(n for row in read_rows(path, path.name) for n in row.columns))
    if not present:
        raise DatasetError(f"{path.name}: holds no rows")
    columns = ColumnReaders()
    header = _header(path.name, present, mapping, columns)
    builder = ImportBuilder(
        columns,
        header,
        cells_are_text=path.suffix.lower() == ".csv",
        decimals=_decimal_columns(path),
    )
    for row in read_rows(path, path.name):
        builder.add(row)
    return ImportTables(
        records=builder.records(),
        prompts=builder.prompts(),
        settings=builder.settings(),
        notes=[*header.notes, *builder.notes()],
        answers_supplied="answer" in header.known.values(),
    )


def _decimal_columns(path: Path) -> set[str]:
    """The columns of a Parquet file whose decimals, or lists of them, are read as their text."""
    if path.suffix.lower() != ".parquet":
        return set()
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema: Any = pq.read_schema(path)  # pyright: ignore[reportUnknownMemberType]
    return {
        name
        for name, kind in zip(schema.names, schema.types, strict=True)
        if pa.types.is_decimal(kind.value_type if pa.types.is_list(kind) else kind)
    }


def _header(
    file: str, present: list[str], mapping: Mapping[str, str], columns: ColumnReaders
) -> Header:
    """Decide what every column of the file means."""
    for theirs, ours in mapping.items():
        if theirs not in present:
            close = closest(theirs, present, cutoff=_SIMILAR)
            raise ConfigError(
                f"--map {theirs}={ours}: {file} has no column `{theirs}`",
                hint=did_you_mean(f"`{close}`") if close else f"it has: {', '.join(present)}",
            )
        if columns.canonical(ours) is None:
            close = closest(ours, columns.names(), cutoff=_SIMILAR)
            raise ConfigError(
                f"--map {theirs}={ours}: there is no column `{ours}` to map to",
                hint=did_you_mean(f"`{close}`") if close else "names are those in docs/schema.md",
            )
    known: dict[str, str] = {}
    unknown: list[str] = []
    for theirs in present:
        ours = columns.canonical(mapping.get(theirs, theirs))
        # In other programs a label is mostly the class that a classifier predicts.
        is_class_label = ours == "label" and theirs not in mapping and not set(present) >= _OWN_IDS
        if ours is None or is_class_label:
            unknown.append(theirs)
        elif ours in known.values():
            other = next(name for name, meaning in known.items() if meaning == ours)
            raise ConfigError(
                f"{file}: columns `{other}` and `{theirs}` both mean `{ours}`",
                hint="drop one of them, or map it to another name",
            )
        else:
            known[theirs] = ours
    _check_required(file, present, known)
    return Header(known, unknown, _column_notes(unknown, columns))


def _check_required(file: str, present: list[str], known: dict[str, str]) -> None:
    meanings = set(known.values())
    if "prompt_id" not in meanings:
        guess = next((name for name in ("id", "question_id", "qid") if name in present), "THEIRS")
        raise DatasetError(
            f"{file}: no column `prompt_id` (it has: {', '.join(present)})",
            hint=f"--map {guess}=prompt_id",
        )
    if not meanings & {"text", "status", "score"}:
        guess = next((n for n in ("response", "output", "completion") if n in present), "THEIRS")
        raise DatasetError(
            f"{file}: needs one of the columns `text`, `status`, `score` (it has: "
            f"{', '.join(present)})",
            hint=f"--map {guess}=text",
        )


def _column_notes(unknown: list[str], columns: ColumnReaders) -> list[str]:
    notes: list[str] = []
    for name in unknown:
        if name in _OWN_IDS and len(_OWN_IDS & set(unknown)) == len(_OWN_IDS):
            continue  # our own export: its ids are computed from the content again
        if name == "label":
            advice = "; if it is what settings are called: --map label=label"
            notes.append(f"column `label` has no meaning here and is kept in extra_json{advice}")
            continue
        close = _TIMES.get(name.lower()) or closest(name, columns.names(), cutoff=_SIMILAR)
        advice = f"; {did_you_mean(f'`{close}`')} then: --map {name}={close}" if close else ""
        if name in _OWN_IDS:
            advice = "; ids of an imported run are made from its content"
        notes.append(f"column `{name}` has no meaning here and is kept in extra_json{advice}")
    return notes
