"""Distinct texts under small numbers, so that millions of outputs are held once or not at all.

Two texts are one when 128 bits of their hashes are equal (XXH3): among 10⁹ different texts two
would be taken for one with a chance of 10⁻²¹. Texts beyond a budget of memory
are written to a temporary file and read back from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.hash_table import Hashes, Ints, Numbers
from evalharness.columnar.spill_file import Place, Spill

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of outputs: in a table read with numbered texts they hold the numbers.
OUTPUTS = ("text", "refusal", "tool_calls_json")

HELD_BYTES = 64 * 2**20  # of texts in memory; the rest is in a file


class Texts:
    """Texts by number, in the order in which they first came; 0 is the empty text.

    Args:
        held_bytes: how many bytes of texts stay in memory.
    """

    def __init__(self, held_bytes: int = HELD_BYTES) -> None:
        import pyarrow as pa

        self._seen: Numbers | None = Numbers()
        self._count = 0
        self._starts: list[int] = []  # the first number of each block of texts
        self._blocks = Spill(held_bytes)
        self._lengths: list[NDArray[np.int32]] = []
        self._last: tuple[int, Any] = (-1, None)  # the block taken from last
        self.add(pa.array([""], pa.string()))

    def __len__(self) -> int:
        return self._count

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Characters of every text, by its number."""
        return np.concatenate(self._lengths)

    def close(self) -> None:
        """Forget what finds a text again, a third of the memory: none can be added any more."""
        self._seen = None

    def share(self) -> None:
        """Keep all texts to come where copies of this process can read them (:meth:`news`)."""
        self._blocks.share()

    def news(self, since: int) -> list[tuple[int, Place]]:
        """The blocks of texts from a number of blocks on, for :meth:`adopt`."""
        return list(zip(self._starts[since:], self._blocks.places(since), strict=True))

    def adopt(self, news: list[tuple[int, Place]]) -> None:
        """In a copy of the process: know the texts that the original has numbered since."""
        self._starts.extend(start for start, _ in news)
        self._blocks.adopt([place for _, place in news])

    @property
    def blocks_held(self) -> int:
        """How many blocks of texts there are."""
        return len(self._starts)

    def add(self, column: Any) -> pa.Array[Any]:
        """Number the texts of an Arrow column; null stays null.

        Raises:
            ValueError: it was closed.
        """
        if self._seen is None:
            raise ValueError("texts are complete: none can be added")
        import pyarrow as pa
        import pyarrow.compute

        compute: Any = pyarrow.compute
        chunked: Any = pa.ChunkedArray
        whole = column
        if isinstance(column, chunked):  # to combine a single chunk would be to copy it
            whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        rows = np.flatnonzero(np.asarray(whole.is_valid()))
        # Those of nulls are left out afterwards: to drop the nulls would be to copy the texts.
        first_half, second_half = _hashes(whole if len(rows) else whole[:0])
        numbers, first = self._seen.of(first_half[rows], second_half[rows])
        if len(first):
            new = whole.take(pa.array(rows[first]))
            self._starts.append(self._count)
            self._lengths.append(np.asarray(compute.utf8_length(new), dtype=np.int32))
            self._blocks.add(new)
            self._count = len(self._seen)
        found, absent = np.zeros(len(whole), np.int32), np.ones(len(whole), np.bool_)
        found[rows], absent[rows] = numbers, False
        return pa.array(found, mask=absent)

    def take(self, numbers: Sequence[int] | Ints) -> list[str]:
        """The texts of some numbers, in their order."""
        import pyarrow as pa

        wanted = np.asarray(numbers, dtype=np.int64)
        found = np.empty(len(wanted), dtype=object)
        block = np.searchsorted(self._starts, wanted, side="right") - 1
        order = np.argsort(block, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
            if len(rows):
                place = int(block[rows[0]])
                inside = pa.array(wanted[rows] - self._starts[place])
                found[rows] = self._array(place).take(inside).to_numpy(zero_copy_only=False)
        return found.tolist()

    def blocks(self, wanted: NDArray[np.bool_]) -> Any:
        """The wanted texts (one flag a number) block by block: numbers, Arrow array."""
        import pyarrow as pa

        for place, start in enumerate(self._starts):
            end = self._starts[place + 1] if place + 1 < len(self._starts) else len(self)
            inside = np.flatnonzero(wanted[start:end])
            if len(inside):
                yield inside + start, self._array(place).take(pa.array(inside))

    def _array(self, place: int) -> Any:
        last, array = self._last
        if last != place:
            array = self._blocks[place]
            self._last = place, array
        return array


def _hashes(texts: Any) -> tuple[Hashes, Hashes]:
    """The two halves of the hash of each text of an Arrow array; those of nulls say nothing."""
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
