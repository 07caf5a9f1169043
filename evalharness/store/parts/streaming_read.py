"""A table of a run read part by part, so that no more than two parts of it are in memory.

Columns that are too wide to be held are read again for the few rows that are asked for.
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

from evalharness.columnar.arrow_ops import filled_columns
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
        fresh: what is in no part, with the columns of the schema; None for nothing.
    """

    def __init__(self, name: str, paths: Sequence[Path], fresh: pa.Table | None) -> None:
        self._name = name
        self._paths = paths
        self._fresh = arrow_schema(name).empty_table() if fresh is None else fresh

    def parts(
        self,
        columns: Sequence[str],
        *,
        numbered: bool = False,
        only: Collection[int] | None = None,
    ) -> Iterator[pa.Table]:
        """Columns of all rows, in order; the next part is read while the last is worked on.

        Args:
            columns: of the schema; those of few distinct values (:func:`key_columns`) are
                dictionaries.
            numbered: add the column ``row``, by which :meth:`wide` finds rows again.
            only: the numbers of the parts to read, beside the last one, which is in no file.

        Raises:
            StorageError: a file is damaged; the message names it.
        """
        import pyarrow as pa

        wanted = list(columns)
        keys = key_columns(self._name, columns)
        paths = [p for n, p in enumerate(self._paths) if only is None or n in only]
        parts = _ahead(
            paths, lambda path: read_sealed(path, wanted, dictionaries=keys, threads=False)
        )
        start = 0
        for rows in chain(parts, (_encoded(self._fresh.select(wanted), keys),)):
            if numbered:
                rows = rows.append_column(ROW, pa.array(np.arange(start, start + len(rows))))
            start += len(rows)
            yield rows

    def filled(self, columns: Sequence[str]) -> set[str]:
        """Those of some columns that may hold a value, as far as the files say.

        Raises:
            StorageError: a file is damaged.
        """
        fresh = {name for name in columns if self._fresh[name].null_count < len(self._fresh)}
        return fresh.union(*(filled.intersection(columns) for _, filled in self._footers))

    def wide(self, columns: Sequence[str]) -> Wide | None:
        """What reads wide columns for a few rows; None when none of them has a value.

        Raises:
            StorageError: a file is damaged.
        """
        if not self.filled(columns):
            return None
        rows = [count for count, _ in self._footers]
        return Wide(self._paths, rows, self._fresh.select(list(columns)))

    @cached_property
    def _footers(self) -> list[tuple[int, frozenset[str]]]:
        """Of every part, its rows, and the columns that may hold a value."""
        found: list[tuple[int, frozenset[str]]] = []
        for path in self._paths:
            with reading(path):
                found.append(filled_columns(path))
        return found


class Wide:
    """Columns that are too wide to be held, read for the few rows that are asked for.

    Args:
        paths: the parts, in the order their rows are counted.
        rows: how many rows each part has.
        fresh: the rows after those of the parts.
    """

    def __init__(self, paths: Sequence[Path], rows: Sequence[int], fresh: pa.Table) -> None:
        self._paths = paths
        self._starts = np.cumsum([0, *rows])
        self._fresh = fresh

    @cached_property
    def columns(self) -> list[str]:
        """The columns that can be had."""
        return self._fresh.column_names

    def take(self, column: str, rows: NDArray[np.int64]) -> list[Any]:
        """The values of a column in some rows, in their order."""
        import pyarrow as pa

        found: list[Any] = [None] * len(rows)
        part = np.searchsorted(self._starts, rows, side="right") - 1
        numbers: list[int] = np.unique(part).tolist()
        for number in numbers:
            here = np.flatnonzero(part == number)
            last = number == len(self._paths)
            table: Any = self._fresh if last else read_sealed(self._paths[number], [column])
            chosen = table[column].take(pa.array(rows[here] - self._starts[number]))
            for place, value in zip(here.tolist(), chosen.to_pylist(), strict=True):
                found[place] = value
        return found


def key_columns(table: str, columns: Sequence[str]) -> list[str]:
    """Those of some columns that have few distinct values."""
    keys = {column.name for column in TABLES[table] if column.type == "key"}
    return [name for name in columns if name in keys]


def joined(parts: Iterable[pa.Table], rows: int | None = 131_072) -> Iterator[pa.Table]:
    """Parts put together, about so many rows at a time, or all of them; the last may be empty."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if rows is not None and sum(map(len, waiting)) >= rows:
            yield pa.concat_tables(waiting, promote_options="permissive").unify_dictionaries()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting, promote_options="permissive").unify_dictionaries()


def _encoded(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows with some columns as dictionaries."""
    for name in keys:
        column: Any = rows[name]
        rows = rows.set_column(rows.column_names.index(name), name, column.dictionary_encode())
    return rows


def _ahead(paths: Sequence[Path], read: Callable[[Path], pa.Table]) -> Iterator[pa.Table]:
    """Tables of files in order; the next one is read while the last is worked on."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = [pool.submit(read, path) for path in paths[:1]]
        for path in paths[1:]:
            waiting.append(pool.submit(read, path))
            yield waiting.pop(0).result()
        for last in waiting:
            yield last.result()
