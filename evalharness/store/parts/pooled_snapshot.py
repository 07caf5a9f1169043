"""The rows of several runs as those of one, their repeats numbered one run after the other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.store.parts.streaming_read import ROW, LazyColumns, Snapshot

if TYPE_CHECKING:
    import pyarrow as pa


class RepeatNumbers:
    """Where the repeats of one run come among those of all runs.

    Args:
        first: the number of its first repeat.
        count: how many repeats its plan has.
        total: repeats of all runs. What a run recorded beyond its plan is numbered from here on,
            and so is beyond the plan of all of them, too.
    """

    def __init__(self, first: int, count: int, total: int) -> None:
        self.first = first
        self.count = count
        self.total = total

    def renumber(self, rows: pa.Table) -> pa.Table:
        """The rows with the numbers that their repeats have among all; others are unchanged."""
        if "repeat" not in rows.column_names:
            return rows
        import pyarrow as pa

        repeat = np.asarray(rows["repeat"], dtype=np.int64)
        numbers = np.where(repeat < self.count, repeat + self.first, repeat + self.total)
        return rows.set_column(rows.column_names.index("repeat"), "repeat", pa.array(numbers))


class PooledSnapshot(Snapshot):
    """Snapshots one after the other; each comes with the numbers of its repeats."""

    def __init__(self, name: str, pooled: Sequence[tuple[Snapshot, RepeatNumbers]]) -> None:
        super().__init__(name, [], None)
        self._pooled = pooled

    @property
    def num_parts(self) -> int:
        """As of :class:`Snapshot`."""
        return sum(stored.num_parts for stored, _ in self._pooled)

    @property
    def num_rows(self) -> int:
        """As of :class:`Snapshot`."""
        return sum(stored.num_rows for stored, _ in self._pooled)

    def parts(
        self,
        columns: Sequence[str],
        *,
        numbered: bool = False,
        part_numbers: Collection[int] | None = None,
    ) -> Iterator[pa.Table]:
        """As :meth:`Snapshot.parts`; the unsealed rows of each run are a part, too."""
        import pyarrow as pa

        first_part = first_row = 0
        for stored, numbers in self._pooled:
            wanted = None
            if part_numbers is not None:
                wanted = {number - first_part for number in part_numbers}
            for part in stored.parts(columns, numbered=numbered, part_numbers=wanted):
                rows = numbers.renumber(part)
                if numbered:
                    row = pa.array(np.asarray(rows[ROW], dtype=np.int64) + first_row)
                    rows = rows.set_column(rows.column_names.index(ROW), ROW, row)
                yield rows
            first_part += stored.num_parts
            first_row += stored.num_rows if numbered else 0

    def columns_with_values(self, columns: Sequence[str]) -> set[str]:
        """As :meth:`Snapshot.columns_with_values`."""
        return set[str]().union(*(each.columns_with_values(columns) for each, _ in self._pooled))

    def lazy_columns(self, columns: Sequence[str]) -> LazyColumns | None:
        """As :meth:`Snapshot.lazy_columns`."""
        readers = [stored.lazy_columns(columns) for stored, _ in self._pooled]
        if all(reader is None for reader in readers):
            return None
        return _PooledLazyColumns(columns, readers, [stored.num_rows for stored, _ in self._pooled])


class _PooledLazyColumns(LazyColumns):
    """Readers one after the other; None stands for a run without values in these columns."""

    def __init__(
        self, columns: Sequence[str], readers: Sequence[LazyColumns | None], rows: Sequence[int]
    ) -> None:
        self._names = list(columns)
        self._readers = readers
        self._first_rows = np.cumsum([0, *rows])

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self._names

    def take(self, column: str, rows: NDArray[np.int64]) -> list[Any]:
        """As :meth:`LazyColumns.take`."""
        values: list[Any] = [None] * len(rows)
        run = np.searchsorted(self._first_rows, rows, side="right") - 1
        for number, reader in enumerate(self._readers):
            positions = np.flatnonzero(run == number)
            if reader is None or not len(positions):
                continue
            taken = reader.take(column, rows[positions] - self._first_rows[number])
            for position, value in zip(positions.tolist(), taken, strict=True):
                values[position] = value
        return values
