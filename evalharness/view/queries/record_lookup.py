"""Single records, the records of a prompt and the attempts of a trial, of runs of any size.

Rows are found by one narrow column of the sealed parts; the wide columns are read of the parts that
have them. Rows that only the journal of a running run holds are read as the report reads them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from evalharness.columnar.arrow_ops import conform, select_schema, where_equal, where_not_in
from evalharness.errors import StorageError, UnknownIdError
from evalharness.process.text import closest_few
from evalharness.schema import arrow_schema
from evalharness.store.folder.annotations import TrialKey
from evalharness.store.folder.run import Run
from evalharness.store.parts.part_files import PATTERN, read_sealed
from evalharness.view.queries.connection import connect, require_database

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Table = Literal["records", "attempts", "prompts"]
Key = Literal["trial_id", "prompt_id"]

#: Columns that every part has and that are small: they are read while rows are looked for.
_NARROW = frozenset({"trial_id", "prompt_id", "setting_id", "repeat", "status"})
_PATTERN_CHARACTERS = re.compile(r"[*?\[]")
_CLOSE = 3  # ids that are named where one is unknown


class RowPlace(NamedTuple):
    """Where a row is: its part and its number in it."""

    path: str
    row: int


def find_record(run: Run, trial_id: str) -> pa.Table:
    """The record of a trial with all its columns: one row.

    Raises:
        UnknownIdError: the run has no such record.
        StorageError: a part is damaged.
        ConfigError: DuckDB is not installed.
    """
    rows = _all_rows(run, "records", "trial_id", trial_id, arrow_schema("records").names)
    if len(rows):
        return rows.slice(0, 1)
    raise _unknown_trial(run, trial_id)


def find_key(run: Run, trial_id: str) -> TrialKey:
    """The keys of a record, which are read faster than all of it.

    Raises:
        UnknownIdError, StorageError, ConfigError: as for :func:`find_record`.
    """
    rows = _all_rows(run, "records", "trial_id", trial_id, TrialKey._fields)
    for row in rows.slice(0, 1).to_pylist():
        return TrialKey(**row)
    raise _unknown_trial(run, trial_id)


def _unknown_trial(run: Run, trial_id: str) -> UnknownIdError:
    return UnknownIdError(
        f"run `{run.name}` has no record of trial `{trial_id}`",
        hint="the table of records has the ids of all",
    )


def prompt_records(run: Run, prompt_id: str, columns: Sequence[str]) -> pa.Table:
    """The records of a prompt in any order; none where the run has none.

    Args:
        run: the run.
        prompt_id: of the prompt.
        columns: of the schema; ``trial_id`` is among them.

    Raises:
        StorageError, ConfigError: as for :func:`find_record`.
    """
    return _all_rows(run, "records", "prompt_id", prompt_id, columns)


def find_prompt(run: Run, prompt_id: str) -> pa.Table:
    """The row of a prompt; none where the run has no such row.

    Raises:
        StorageError, ConfigError: as for :func:`find_record`.
    """
    places = _find(run, "prompts", "prompt_id", prompt_id, limit=1)
    return _rows_at("prompts", places, "prompt_id", prompt_id, None)


def unknown_prompt(run: Run, prompt_id: str) -> UnknownIdError:
    """The error for a prompt that a run does not have; its hint names similar ones."""
    known = [str(name) for name in run.table("prompts", ["prompt_id"])["prompt_id"].to_pylist()]
    close = closest_few(prompt_id, known, _CLOSE) or known[:_CLOSE]
    return UnknownIdError(
        f"run `{run.name}` has no prompt `{prompt_id}`",
        hint=f"for instance: {', '.join(close)} ({len(known):,} in all)" if known else None,
    )


def trial_attempts(run: Run, trial_id: str) -> pa.Table:
    """The attempts of a trial by their number; none where the run keeps none.

    Raises:
        StorageError, ConfigError: as for :func:`find_record`.
    """
    names = arrow_schema("attempts").names
    rows: Any = _all_rows(run, "attempts", "trial_id", trial_id, names)
    return rows.sort_by("attempt")


def _all_rows(run: Run, table: Table, key: Key, value: str, columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    unsealed = run.unsealed(table)  # first: what is sealed meanwhile is then in a part
    if _NARROW.issuperset(columns):
        sealed = _narrow_rows(run, table, key, value, columns)
    else:
        sealed = _rows_at(table, _find(run, table, key, value), key, value, columns)
    if unsealed is None or not len(unsealed):
        return sealed
    rows = where_equal(unsealed, key, value).select(list(columns))
    return pa.concat_tables([sealed, where_not_in(rows, "trial_id", sealed["trial_id"])])


def _find(run: Run, table: Table, key: Key, value: str, limit: int | None = None) -> list[RowPlace]:
    paths = _paths(run, table)
    if not paths:
        return []
    query = _sql(["filename", "file_row_number"], "filename = true, file_row_number = true", key)
    if limit is not None:
        query += f" LIMIT {limit}"
    rows = _query(query, [_literals(paths), value], paths, key)
    return [RowPlace(row["filename"], row["file_row_number"]) for row in rows.to_pylist()]


def _narrow_rows(run: Run, table: Table, key: Key, value: str, columns: Sequence[str]) -> pa.Table:
    schema, paths = select_schema(arrow_schema(table), columns), _paths(run, table)
    if not paths:
        return schema.empty_table()
    query = _sql(columns, "union_by_name = false", key)
    rows = _query(query, [_literals(paths), value], paths, key)
    return conform(rows, schema)


def _paths(run: Run, table: Table) -> list[Path]:
    if table == "prompts":
        return [path for path in [run.root / "prompts.parquet"] if path.exists()]
    return sorted((run.root / table).glob(PATTERN))


def _rows_at(
    table: Table, places: Sequence[RowPlace], key: Key, value: str, columns: Sequence[str] | None
) -> pa.Table:
    """The rows with these columns; None is all of the schema."""
    schema = arrow_schema(table)
    if columns is not None:
        schema = select_schema(schema, columns)
    if not places:
        return schema.empty_table()
    files = [Path(path) for path in sorted({place.path for place in places})]
    present = _columns_of(files, key)
    names = [name for name in schema.names if name in present]
    # Numbers of rows let DuckDB skip the pages of wide columns; the key makes the answer right.
    query = _sql(names, "union_by_name = true, file_row_number = true", key)
    query += " AND file_row_number IN (SELECT unnest(?))"
    numbers = sorted({place.row for place in places})
    rows = _query(query, [_literals(files), value, numbers], files, key)
    return conform(rows, schema)


def _sql(columns: Sequence[str], options: str, key: Key) -> str:
    """A query of parts for a value of the key; both are bound, and all names are our own."""
    names = ", ".join(columns)
    options += ", hive_partitioning = false"
    return f"SELECT {names} FROM read_parquet(?, {options}) WHERE {key} = ?"


def _literals(paths: Sequence[Path]) -> list[str]:
    """Paths whose characters mean themselves, and no pattern."""
    return [_PATTERN_CHARACTERS.sub(r"[\g<0>]", str(path)) for path in paths]


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    """One database for all look-ups, so that the footers of parts are read once."""
    connection = connect()
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute("SET memory_limit = '256MB'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _columns_of(files: Sequence[Path], key: Key) -> set[str]:
    query = "SELECT DISTINCT name FROM parquet_schema(?)"
    names = _query(query, [_literals(files)], files, key)["name"]
    return {str(name) for name in names.to_pylist()}


def _query(query: str, values: list[Any], paths: Sequence[Path], column: str) -> pa.Table:
    """Ask; names of columns are of the schema, everything else is bound.

    Raises:
        StorageError: a part is damaged; the message names it.
        ConfigError: DuckDB is not installed.
    """
    duckdb = require_database()
    try:
        return _connection().cursor().sql(query, params=values).to_arrow_table()
    except duckdb.Error as error:
        for path in paths:
            read_sealed(path, [column])
        reason = (str(error).splitlines() or [""])[0]
        raise StorageError(f"the parts of {paths[0].parent} cannot be read: {reason}") from error
