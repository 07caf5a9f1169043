"""Interned texts: each distinct text has a small number, and is stored once.

Two texts count as equal when 128 bits of their hashes are (XXH3): among 10⁹ different texts the
chance that any two collide is 10⁻²¹. Texts beyond a budget of memory are written to a temporary
file and read back from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.hash_table import Hashes, IntHashTable, Ints
from evalharness.columnar.spill_file import FileRange, SpillFile

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_BYTES = 64 * 2**20  # of texts in memory; the rest goes to a file


class TextPool:
    """Texts by number, in the order in which they first came; 0 is the empty text.

    Args:
        memory_bytes: how many bytes of texts stay in memory.
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        import pyarrow as pa

        self._numbers: IntHashTable | None = IntHashTable()
        self._count = 0
        self._starts: list[int] = []  # the first number of each block of texts
        self._blocks = SpillFile(memory_bytes)
        self._lengths: list[NDArray[np.int32]] = []
        self._short_hashes: list[Hashes] = []  # by block
        self._last: tuple[int, Any] = (-1, None)  # the block taken from last
        self.add(pa.array([""], pa.string()))

    def __len__(self) -> int:
        return self._count

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Characters of every text, by its number."""
        return np.concatenate(self._lengths)

    @property
    def short_hashes(self) -> Hashes:
        """64 bits of the hash of every text, by its number; equal in all pools for equal texts.

        Among 10⁶ different texts the chance that any two are equal is 3 · 10⁻⁸.
        """
        return np.concatenate(self._short_hashes)

    def close(self) -> None:
        """Drop the hash table, a third of the memory: no text can be added any more."""
        self._numbers = None

    def share(self) -> None:
        """Write all later texts where forks of this process can read them (:meth:`new_blocks`)."""
        self._blocks.share()

    def new_blocks(self, since: int) -> list[tuple[int, FileRange]]:
        """The blocks of texts from block ``since`` on, for :meth:`add_blocks`."""
        return list(zip(self._starts[since:], self._blocks.file_ranges(since), strict=True))

    def add_blocks(self, blocks: list[tuple[int, FileRange]]) -> None:
        """In a fork: add the texts that its parent has numbered since."""
        self._starts.extend(start for start, _ in blocks)
        self._blocks.extend([file_range for _, file_range in blocks])

    @property
    def block_count(self) -> int:
        """How many blocks of texts there are."""
        return len(self._starts)

    def add(self, column: Any) -> pa.Array[Any]:
        """Number the texts of an Arrow column; null stays null.

        Raises:
            ValueError: it was closed.
        """
        if self._numbers is None:
            raise ValueError("texts are complete: none can be added")
        import pyarrow as pa
        import pyarrow.compute

        compute: Any = pyarrow.compute
        chunked: Any = pa.ChunkedArray
        array = column
        if isinstance(column, chunked):  # combining a single chunk would copy it
            array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        rows = np.flatnonzero(np.asarray(array.is_valid()))
        # The hashes of nulls are dropped afterwards: dropping the nulls would copy the texts.
        first_half, second_half = _hashes(array if len(rows) else array[:0])
        numbers, first = self._numbers.number(first_half[rows], second_half[rows])
        if len(first):
            new = array.take(pa.array(rows[first]))
            self._starts.append(self._count)
            self._lengths.append(np.asarray(compute.utf8_length(new), dtype=np.int32))
            self._short_hashes.append(first_half[rows[first]])
            self._blocks.add(new)
            self._count = len(self._numbers)
        codes, is_null = np.zeros(len(array), np.int32), np.ones(len(array), np.bool_)
        codes[rows], is_null[rows] = numbers, False
        return pa.array(codes, mask=is_null)

    def take(self, numbers: Sequence[int] | Ints) -> list[str]:
        """The texts of some numbers, in their order."""
        import pyarrow as pa

        wanted = np.asarray(numbers, dtype=np.int64)
        texts = np.empty(len(wanted), dtype=object)
        block = np.searchsorted(self._starts, wanted, side="right") - 1
        order = np.argsort(block, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
            if len(rows):
                index = int(block[rows[0]])
                inside = pa.array(wanted[rows] - self._starts[index])
                texts[rows] = self._array(index).take(inside).to_numpy(zero_copy_only=False)
        return texts.tolist()

    def iter_blocks(self, wanted: NDArray[np.bool_]) -> Any:
        """The wanted texts (one flag a number) block by block: numbers, Arrow array."""
        import pyarrow as pa

        for index, start in enumerate(self._starts):
            end = self._starts[index + 1] if index + 1 < len(self._starts) else len(self)
            inside = np.flatnonzero(wanted[start:end])
            if len(inside):
                yield inside + start, self._array(index).take(pa.array(inside))

    def _array(self, index: int) -> Any:
        last, array = self._last
        if last != index:
            array = self._blocks[index]
            self._last = index, array
        return array


def _hashes(texts: Any) -> tuple[Hashes, Hashes]:
    """The two halves of the hash of each text of an Arrow array; those of nulls mean nothing."""
    import pyarrow as pa
    from xxhash import xxh3_128_digest

    if not len(texts):
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    _, offsets, data = texts.buffers()
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    ends = np.frombuffer(offsets, width)[texts.offset :][: len(texts) + 1].tolist()
    view = memoryview(b"" if data is None else data)
    digests = b"".join([xxh3_128_digest(view[a:b]) for a, b in pairwise(ends)])
    halves = np.frombuffer(digests, np.uint64).reshape(-1, 2)
    return halves[:, 0], halves[:, 1]
