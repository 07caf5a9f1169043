"""The rows of a table in as little memory as an analysis needs, however many they are.

Rows come part by part and are kept column by column
(:class:`~evalharness.columnar.spill_file.Spill`). A column of few distinct values is held as
numbers of them. A column without any value is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.spill_file import Spill

if TYPE_CHECKING:
    import pyarrow as pa

Codes = NDArray[np.int32]

HELD_BYTES = 64 * 2**20  # of columns in memory; the rest is in a file
UNKNOWN = -1  # the code of null


class Keys:
    """The distinct values of a column under numbers, in the order in which they came.

    Attributes:
        values: by their numbers.
        numbers: by the values; one that is looked up for the first time gets the next number.
    """

    def __init__(self) -> None:
        self.values: list[str] = []
        self.numbers: dict[str, int] = _Numbering(self.values)

    def codes(self, column: Any) -> Codes:
        """The number of each value of an Arrow array; null is :data:`UNKNOWN`."""
        import pyarrow as pa

        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        numbers = np.full(len(column.dictionary) + 1, UNKNOWN, np.int32)
        numbers[:-1] = list(map(self.numbers.__getitem__, column.dictionary.to_pylist()))
        return numbers[np.asarray(column.indices.fill_null(len(numbers) - 1))]


class _Numbering(dict[str, int]):
    """Numbers by value; a value that is looked up for the first time gets the next one."""

    def __init__(self, values: list[str]) -> None:
        super().__init__()
        self._values = values

    def __missing__(self, value: str) -> int:
        number = self[value] = len(self._values)
        self._values.append(value)
        return number


class Held:
    """Rows of a table. Like an Arrow table it has ``column_names``, ``num_rows`` and columns.

    Args:
        keys: columns of few distinct values; they are read back as dictionaries.
        held_bytes: how many bytes of columns stay in memory.

    Attributes:
        keys: the values of these columns, by the column's name.
    """

    def __init__(self, keys: Sequence[str] = (), held_bytes: int = HELD_BYTES) -> None:
        self.keys = {name: Keys() for name in keys}
        self._spill = Spill(held_bytes)
        self._pieces: dict[str, list[int | None]] = {}  # None: a piece without a value
        self._types: dict[str, Any] = {}
        self._rows: list[int] = []

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return sum(self._rows)

    def __len__(self) -> int:
        return self.num_rows

    @property
    def column_names(self) -> list[str]:
        """The columns in which some row has a value."""
        return [name for name, pieces in self._pieces.items() if any(p is not None for p in pieces)]

    def add(self, part: pa.Table, codes: dict[str, Codes]) -> None:
        """Add rows, with the columns of those before.

        Args:
            part: the rows.
            codes: those of the columns of few distinct values, by :attr:`keys`.
        """
        import pyarrow as pa

        for name in part.column_names:
            found = codes.get(name)
            column: Any = part[name]
            if found is None:
                self._keep(name, column.combine_chunks())
            else:
                self._keep(name, pa.array(found, mask=found == UNKNOWN))
        self._rows.append(len(part))

    def _keep(self, name: str, values: Any) -> None:
        self._types.setdefault(name, values.type)
        nothing = values.null_count == len(values)
        self._pieces.setdefault(name, []).append(None if nothing else self._spill.add(values))

    def pieces(self, name: str) -> Iterator[Any]:
        """The Arrow arrays of a column, in the order of the rows."""
        import pyarrow

        pa: Any = pyarrow
        keys = self.keys.get(name)
        values = None if keys is None else pa.array(keys.values, pa.string())
        for number, rows in zip(self._pieces[name], self._rows, strict=True):
            nothing = number is None
            piece = pa.nulls(rows, self._types[name]) if nothing else self._spill[number]
            if values is not None:
                piece = pa.DictionaryArray.from_arrays(piece, values, safe=False)
            yield piece

    def __getitem__(self, name: str) -> pa.ChunkedArray[Any]:
        """A whole column.

        Raises:
            KeyError: there is none of that name.
        """
        import pyarrow as pa

        return pa.chunked_array(list(self.pieces(name)), type=None if self._rows else pa.null())

    def column(self, name: str) -> pa.ChunkedArray[Any]:
        """A whole column, as ``held[name]``."""
        return self[name]

    def codes(self, name: str) -> Codes:
        """The codes of a column of few distinct values."""
        pieces = [
            np.full(rows, UNKNOWN, np.int32)
            if number is None
            else np.asarray(self._spill[number].fill_null(UNKNOWN))
            for number, rows in zip(self._pieces[name], self._rows, strict=True)
        ]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int32)

    def take(self, name: str, rows: NDArray[Any]) -> list[Any]:
        """The values of a column in a few rows, in their order."""
        found: list[Any] = [None] * len(rows)
        ends = np.cumsum(self._rows)
        piece = np.searchsorted(ends, rows, side="right")
        places: list[int] = np.unique(piece).tolist()
        for place in places:
            number = self._pieces[name][place]
            if number is None:
                continue
            here = np.flatnonzero(piece == place)
            inside: NDArray[Any] = rows[here] - (ends[place] - self._rows[place])
            values = self._spill[number].take(inside).to_pylist()
            for at, value in zip(here.tolist(), values, strict=True):
                found[at] = value
        keys = self.keys.get(name)
        return found if keys is None else [v if v is None else keys.values[v] for v in found]

    def tables(self, columns: Sequence[str], rows: int = 131_072) -> Iterator[pa.Table]:
        """Some columns as tables of about so many rows each; columns without a value are absent."""
        import pyarrow as pa

        there = set(self.column_names)
        names = [name for name in columns if name in there]
        waiting: list[list[Any]] = []
        size = 0
        for arrays in zip(*(self.pieces(name) for name in names), strict=True):
            waiting.append(list(arrays))
            size += len(arrays[0])
            if size >= rows:
                yield _table(waiting, names)
                waiting, size = [], 0
        if waiting or not self._rows:
            yield _table(waiting, names) if waiting else pa.table({})


def _table(rows: list[list[Any]], names: list[str]) -> pa.Table:
    """Rows given as the arrays of each of their pieces."""
    import pyarrow

    pa: Any = pyarrow
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return pa.table({name: pa.chunked_array(list(pieces)) for name, pieces in columns})


def blocks(
    records: pa.Table | Held, columns: Sequence[str], rows: int = 131_072
) -> Iterator[pa.Table]:
    """Some columns as tables of about so many rows each, at least one; absent ones are left out."""
    if isinstance(records, Held):
        yield from records.tables(columns, rows)
        return
    table = records.select([name for name in columns if name in records.column_names])
    for start in range(0, max(1, len(table)), rows):
        yield table.slice(start, rows)
