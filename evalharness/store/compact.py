"""A table of a run in as little memory as an analysis needs, read part by part.

Keys become dictionaries, outputs become numbers in :class:`~evalharness.texts.Texts`, columns that
hold nothing are left out. Ten million records then take some hundred bytes each, however long their
texts are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.arrow import filled_columns
from evalharness.schema import TABLES, arrow_schema
from evalharness.store.parts import read_sealed, reading
from evalharness.texts import OUTPUTS, Ints, Texts

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

    def compact(
        self,
        columns: Sequence[str],
        texts: Texts,
        *,
        keep: Callable[[pa.Table], pa.Table] | None = None,
        numbered: bool = False,
    ) -> pa.Table:
        """Columns of all rows; columns without a value in any of them are left out.

        Args:
            columns: of the schema.
            texts: numbers the texts of :data:`~evalharness.texts.OUTPUTS`.
            keep: chooses rows of a part.
            numbered: add the column ``row``, by which :meth:`wide` finds rows again.

        Raises:
            StorageError: a file is damaged; the message names it.
        """
        import pyarrow as pa

        wanted = list(columns)
        keys = _key_columns(self._name, columns)
        parts = _ahead(
            self._paths, lambda path: read_sealed(path, wanted, dictionaries=keys, threads=False)
        )
        tables: list[pa.Table] = []
        start = 0
        for rows in (*parts, self._fresh.select(wanted)):
            numbers = pa.array(np.arange(start, start + len(rows)))
            start += len(rows)
            part = rows.append_column(ROW, numbers) if numbered else rows
            tables.append(_compacted(part if keep is None else keep(part), keys, texts))
        return _joined(tables, keys) if start else self._fresh.select(wanted)

    def wide(self, columns: Sequence[str]) -> Wide | None:
        """What reads wide columns for a few rows; None when none of them has a value.

        Raises:
            StorageError: a file is damaged.
        """
        counted: list[int] = []
        filled = any(self._fresh[column].null_count < len(self._fresh) for column in columns)
        for path in self._paths:
            with reading(path):
                rows, holding = filled_columns(path, columns)
            counted.append(rows)
            filled = filled or bool(holding)
        if not filled:
            return None
        return Wide(self._paths, counted, self._fresh.select(list(columns)))


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

    def take(self, column: str, rows: Ints) -> list[Any]:
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


def _key_columns(table: str, columns: Sequence[str]) -> list[str]:
    """Those of some columns that have few distinct values."""
    keys = {column.name for column in TABLES[table] if column.type == "key"}
    return [name for name in columns if name in keys]


def _ahead(paths: Sequence[Path], read: Callable[[Path], pa.Table]) -> Iterator[pa.Table]:
    """Tables of files in order; the next one is read while the last is worked on."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = [pool.submit(read, path) for path in paths[:1]]
        for path in paths[1:]:
            waiting.append(pool.submit(read, path))
            yield waiting.pop(0).result()
        for last in waiting:
            yield last.result()


def _compacted(rows: pa.Table, keys: Sequence[str], texts: Texts) -> pa.Table:
    import pyarrow as pa

    columns: list[Any] = []
    for name in rows.column_names:
        column: Any = rows[name]
        if name in OUTPUTS:
            column = texts.add(column)
        elif name in keys and not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        elif name not in keys and column.null_count == len(column):
            column = pa.nulls(len(column))
        columns.append(column)
    return pa.Table.from_arrays(columns, names=rows.column_names)


def _joined(tables: list[pa.Table], keys: Sequence[str]) -> pa.Table:
    """All rows with one chunk a column, made column by column; ``tables`` is emptied."""
    import pyarrow as pa

    whole = pa.concat_tables(tables, promote_options="permissive")
    tables.clear()
    columns: dict[str, Any] = {}
    for name in whole.column_names:
        column: Any = whole[name]
        if name in keys:
            columns[name] = column.unify_dictionaries().combine_chunks()
        elif column.null_count < len(column) or name == ROW:
            columns[name] = column.combine_chunks()
    return pa.table(columns)
