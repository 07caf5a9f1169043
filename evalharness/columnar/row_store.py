"""The rows of a table, column by column, in bounded memory.

Rows are added part by part; the columns are kept in a :class:`~.spill_file.SpillFile`. A column of
few distinct values is dictionary-encoded. A column without any value counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.spill_file import SpillFile

if TYPE_CHECKING:
    import pyarrow as pa

Codes = NDArray[np.int32]

MEMORY_BYTES = 64 * 2**20  # of columns in memory; the rest goes to a file
NULL_CODE = -1  # the code of null


class DictionaryEncoder:
    """Codes for the distinct values of a column, in the order in which they came.

    Attributes:
        values: by their codes.
    """

    def __init__(self) -> None:
        self.values: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, value: str) -> int:
        """The code of a value; a new value gets the next one."""
        code = self._codes.get(value)
        if code is None:
            code = self._codes[value] = len(self.values)
            self.values.append(value)
        return code

    def codes(self, column: Any) -> Codes:
        """The code of each value of an Arrow column; null is :data:`NULL_CODE`."""
        import pyarrow

        pa: Any = pyarrow
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        dictionary: list[str] = column.dictionary.to_pylist()
        known = self._codes
        for value in [value for value in dictionary if value not in known]:
            self.code(value)
        codes = np.full(len(dictionary) + 1, NULL_CODE, np.int32)
        codes[:-1] = list(map(known.__getitem__, dictionary))
        return codes[np.asarray(column.indices.fill_null(len(dictionary)))]


class ColumnStore:
    """Rows of a table. Like an Arrow table it has ``column_names``, ``num_rows`` and columns.

    Args:
        encoded: columns of few distinct values; they are read back as dictionaries.
        memory_bytes: how many bytes of columns stay in memory.

    Attributes:
        encoders: of these columns, by the column's name.
    """

    def __init__(self, encoded: Sequence[str] = (), memory_bytes: int = MEMORY_BYTES) -> None:
        self.encoders = {name: DictionaryEncoder() for name in encoded}
        self._spill = SpillFile(memory_bytes)
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
            codes: those of the columns in :attr:`encoders`.
        """
        import pyarrow as pa

        for name in part.column_names:
            column_codes = codes.get(name)
            column: Any = part[name]
            if column_codes is None:
                self._append(name, column.combine_chunks())
            else:
                self._append(name, pa.array(column_codes, mask=column_codes == NULL_CODE))
        self._rows.append(len(part))

    def _append(self, name: str, values: Any) -> None:
        self._types.setdefault(name, values.type)
        all_null = values.null_count == len(values)
        self._pieces.setdefault(name, []).append(None if all_null else self._spill.add(values))

    def pieces(self, name: str) -> Iterator[Any]:
        """The Arrow arrays of a column, in the order of the rows."""
        import pyarrow

        pa: Any = pyarrow
        encoder = self.encoders.get(name)
        values = None if encoder is None else pa.array(encoder.values, pa.string())
        for number, rows in zip(self._pieces[name], self._rows, strict=True):
            piece = pa.nulls(rows, self._types[name]) if number is None else self._spill[number]
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

    @property
    def part_count(self) -> int:
        """How many parts were added."""
        return len(self._rows)

    def codes(self, name: str, since: int = 0) -> Codes:
        """The codes of a column of codes; one without any value is all :data:`NULL_CODE`.

        ``since`` is the number of the first part whose rows are wanted.
        """
        numbers = self._pieces.get(name, [None] * len(self._rows))[since:]
        pieces = [
            np.full(rows, NULL_CODE, np.int32)
            if number is None
            else np.asarray(self._spill[number].fill_null(NULL_CODE))
            for number, rows in zip(numbers, self._rows[since:], strict=True)
        ]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int32)

    def take(self, name: str, rows: NDArray[Any]) -> list[Any]:
        """The values of a column in a few rows, in their order; None in one without any."""
        result: list[Any] = [None] * len(rows)
        if name not in self._pieces:
            return result
        ends = np.cumsum(self._rows)
        piece_of_row = np.searchsorted(ends, rows, side="right")
        pieces: list[int] = np.unique(piece_of_row).tolist()
        for piece in pieces:
            number = self._pieces[name][piece]
            if number is None:
                continue
            positions = np.flatnonzero(piece_of_row == piece)
            inside: NDArray[Any] = rows[positions] - (ends[piece] - self._rows[piece])
            values = self._spill[number].take(inside).to_pylist()
            for position, value in zip(positions.tolist(), values, strict=True):
                result[position] = value
        encoder = self.encoders.get(name)
        return (
            result if encoder is None else [v if v is None else encoder.values[v] for v in result]
        )

    def tables(self, columns: Sequence[str], rows: int = 131_072) -> Iterator[pa.Table]:
        """Some columns as tables of about so many rows each; columns without a value are absent."""
        import pyarrow as pa

        present = set(self.column_names)
        names = [name for name in columns if name in present]
        batch: list[list[Any]] = []
        size = 0
        for arrays in zip(*(self.pieces(name) for name in names), strict=True):
            batch.append(list(arrays))
            size += len(arrays[0])
            if size >= rows:
                yield _table(batch, names)
                batch, size = [], 0
        if batch or not self.num_rows:
            yield _table(batch, names) if batch else pa.table({})


def _table(rows: list[list[Any]], names: list[str]) -> pa.Table:
    """Rows given as the arrays of each of their pieces."""
    import pyarrow

    pa: Any = pyarrow
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return pa.table({name: pa.chunked_array(list(pieces)) for name, pieces in columns})
