"""Queries of the files of records: their rows by number, columns that came later included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from evalharness.schema import TABLES
from evalharness.view.queries.file_stamps import Stamp

_SQL_TYPES = {
    "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "money": "DECIMAL(24, 12)",
    "time": "TIMESTAMPTZ", "texts": "VARCHAR[]", "floats": "DOUBLE[]", "bytes": "BLOB",
}  # fmt: skip
_GLOB = re.compile(r"[*?\[]")


class RecordPart(NamedTuple):
    """A file of records, with the number of its first row and the columns it has."""

    stamp: Stamp
    start: int
    rows: int
    columns: frozenset[str]


class SqlPart(NamedTuple):
    """A piece of SQL with the values that are bound in it."""

    sql: str
    values: list[Any]


def sql_type(table: str, name: str) -> str:
    """The type in DuckDB of a column of the schema."""
    kind = next(column.type for column in TABLES[table] if column.name == name)
    return _SQL_TYPES.get(kind, "VARCHAR")


def literals(paths: Sequence[str]) -> list[str]:
    """The same of several."""
    return [literal(path) for path in paths]


def literal(path: str) -> str:
    """A path whose characters mean themselves, and no pattern."""
    return _GLOB.sub(lambda match: f"[{match[0]}]", path)


def wide_rows(
    parts: Sequence[RecordPart],
    names: Sequence[str],
    *,
    starts: str,
    numbers: Sequence[int] | None = None,
) -> SqlPart:
    """A query of columns of files of records, with the number of each row.

    Args:
        parts: the files.
        names: the columns; one that a file is older than is null.
        starts: the table with the number of the first row of each file.
        numbers: the rows that are needed, so that other files are not read; others may be there.
    """
    picked = ""
    if numbers is not None:
        inside = [{n - p.start for n in numbers if 0 <= n - p.start < p.rows} for p in parts]
        parts = [part for part, rows in zip(parts, inside, strict=True) if rows]
        # Known to the reader of a file, they let it skip what is between them.
        wanted = sorted(set[int]().union(*inside))
        picked = f" WHERE w.file_row_number IN ({', '.join(map(str, wanted))})"
    queries: list[str] = []
    values: list[Any] = []
    for columns in dict.fromkeys(part.columns for part in parts):
        taken = ", ".join(
            f"w.{name}" if name in columns else f"NULL::{sql_type('records', name)} AS {name}"
            for name in names
        )
        queries.append(
            f"SELECT CAST(f.start + w.file_row_number AS INTEGER) AS row, {taken} "
            "FROM read_parquet(?, filename = true, file_row_number = true, "
            f"hive_partitioning = false) w JOIN {starts} f ON f.path = w.filename{picked}"
        )
        values.append(literals([p.stamp.path for p in parts if p.columns == columns]))
    if not queries:
        nothing = ", ".join(f"NULL::{sql_type('records', name)} AS {name}" for name in names)
        return SqlPart(f"SELECT 0 AS row, {nothing} WHERE false", [])
    return SqlPart(" UNION ALL ".join(queries), values)
