"""Reads a table of a run part by part, so that at most two parts of it are in memory.

Wide columns are not kept in memory; they are read again for the few rows that are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.arrow_ops import columns_with_values
from evalharness.schema import TABLES, arrow_schema
from evalharness.store.parts.part_files import read_sealed, reading

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "row"  # the column of row numbers


class Snapshot:
    """The rows of ``records`` or ``attempts`` at one moment: sealed parts, and the journal's rows.

    Args:
        name: of the table.
        paths: the parts, in their order.
        unsealed: the rows that are in no part, with the columns of the schema, or None.
    """

    def __init__(self, name: str, paths: Sequence[Path], unsealed: pa.Table | None) -> None:
        self._name = name
        self.paths = paths
        self.unsealed = arrow_schema(name).empty_table() if unsealed is None else unsealed

    @property
    def num_parts(self) -> int:
        """How many tables :meth:`parts` gives: the unsealed rows are the last."""
        return len(self.paths) + 1

    @property
    def num_rows(self) -> int:
        """How many rows there are.

        Raises:
            StorageError: a file is damaged.
        """
        return sum(count for count, _ in self._footers) + len(self.unsealed)

    def parts(
        self,
        columns: Sequence[str],
        *,
        numbered: bool = False,
        part_numbers: Collection[int] | None = None,
    ) -> Iterator[pa.Table]:
        """Columns of all rows, in order; the next part is read while the last is worked on.

        Args:
            columns: of the schema; those of few distinct values (:func:`key_columns`) are
                dictionaries.
            numbered: add the column ``row``, the row numbers of :meth:`lazy_columns`.
            part_numbers: the parts to read, from 0; the unsealed rows always follow. None reads
                all parts.

        Raises:
            StorageError: a file is damaged; the message names it.
        """
        import pyarrow as pa

        wanted = list(columns)
        keys = key_columns(self._name, columns)
        paths = [p for n, p in enumerate(self.paths) if part_numbers is None or n in part_numbers]
        parts = _prefetch(
            paths, lambda path: read_sealed(path, wanted, dictionaries=keys, threads=False)
        )
        start = 0
        for rows in chain(parts, (_dictionary_encode(self.unsealed.select(wanted), keys),)):
            if numbered:
                rows = rows.append_column(ROW, pa.array(np.arange(start, start + len(rows))))
            start += len(rows)
            yield rows

    def columns_with_values(self, columns: Sequence[str]) -> set[str]:
        """Those of the given columns that may hold a value, by the statistics in the files.

        Raises:
            StorageError: a file is damaged.
        """
        in_journal = {
            name for name in columns if self.unsealed[name].null_count < len(self.unsealed)
        }
        return in_journal.union(*(names.intersection(columns) for _, names in self._footers))

    def lazy_columns(self, columns: Sequence[str]) -> LazyColumns | None:
        """A reader of wide columns for a few rows; None when none of them has a value.

        Raises:
            StorageError: a file is damaged.
        """
        if not self.columns_with_values(columns):
            return None
        rows = [count for count, _ in self._footers]
        return LazyColumns(self.paths, rows, self.unsealed.select(list(columns)))

    @cached_property
    def _footers(self) -> list[tuple[int, frozenset[str]]]:
        """The number of rows of each part, and its columns that may hold a value."""
        footers: list[tuple[int, frozenset[str]]] = []
        for path in self.paths:
            with reading(path):
                footers.append(columns_with_values(path))
        return footers


class LazyColumns:
    """Columns that are too wide for memory, read from disk for the few rows that are needed.

    Args:
        paths: the parts, in the order their rows are counted.
        rows: how many rows each part has.
        unsealed: the rows after those of the parts.
    """

    def __init__(self, paths: Sequence[Path], rows: Sequence[int], unsealed: pa.Table) -> None:
        self.paths = paths
        self._starts = np.cumsum([0, *rows])
        self.unsealed = unsealed

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self.unsealed.column_names

    def take(self, column: str, rows: NDArray[np.int64]) -> list[Any]:
        """The values of a column in the given rows, in their order."""
        import pyarrow as pa

        values: list[Any] = [None] * len(rows)
        part = np.searchsorted(self._starts, rows, side="right") - 1
        numbers: list[int] = np.unique(part).tolist()
        for number in numbers:
            positions = np.flatnonzero(part == number)
            last = number == len(self.paths)
            table: Any = self.unsealed if last else read_sealed(self.paths[number], [column])
            taken = table[column].take(pa.array(rows[positions] - self._starts[number]))
            for position, value in zip(positions.tolist(), taken.to_pylist(), strict=True):
                values[position] = value
        return values


def key_columns(table: str, columns: Sequence[str]) -> list[str]:
    """Those of the given columns that have few distinct values."""
    keys = {column.name for column in TABLES[table] if column.type == "key"}
    return [name for name in columns if name in keys]


def concat_parts(parts: Iterable[pa.Table], rows: int | None = 131_072) -> Iterator[pa.Table]:
    """Concatenate parts to tables of about ``rows`` rows, or to one; the last may be empty."""
    import pyarrow as pa

    pending: list[pa.Table] = []
    for part in parts:
        pending.append(part)
        if rows is not None and sum(map(len, pending)) >= rows:
            yield pa.concat_tables(pending, promote_options="permissive").unify_dictionaries()
            pending = []
    if pending:
        yield pa.concat_tables(pending, promote_options="permissive").unify_dictionaries()


def _dictionary_encode(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows with some columns as dictionaries."""
    for name in keys:
        column: Any = rows[name]
        rows = rows.set_column(rows.column_names.index(name), name, column.dictionary_encode())
    return rows


def _prefetch(paths: Sequence[Path], read: Callable[[Path], pa.Table]) -> Iterator[pa.Table]:
    """Tables of files in order; the next file is read while the caller works on the last."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = [pool.submit(read, path) for path in paths[:1]]
        for path in paths[1:]:
            pending.append(pool.submit(read, path))
            yield pending.pop(0).result()
        for remaining in pending:
            yield remaining.result()
