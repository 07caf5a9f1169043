"""Distinct texts under small numbers, so that millions of outputs are held once or not at all.

Two texts are one when 128 bits of their hashes are equal (SipHash-2-4 under two keys): among 10⁹
different texts two would be taken for one with a chance of 10⁻²¹. Texts beyond a budget of memory
are written to a temporary file and read back from there.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

#: Columns of outputs: in a table read with numbered texts they hold the numbers.
OUTPUTS = ("text", "refusal", "tool_calls_json")

HELD_BYTES = 512 * 2**20  # of texts in memory; the rest is in a file
_KEYS = ("evalharness-text", "text-evalharness")  # of the two hashes, 16 bytes each


class Texts:
    """Texts by number, in the order in which they first came; 0 is the empty text.

    Args:
        held_bytes: how many bytes of texts stay in memory.
    """

    def __init__(self, held_bytes: int = HELD_BYTES) -> None:
        import pyarrow as pa

        self._seen = _Numbers()
        self._budget = held_bytes
        self._starts: list[int] = []  # the first number of each block of texts
        self._blocks: list[Any] = []  # an array, or its place in the file: (offset, size)
        self._lengths: list[Ints] = []
        self._file: Any = None
        self._last: tuple[int, Any] = (-1, None)  # the block read last from the file
        self.add(pa.array([""], pa.string()))

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def lengths(self) -> Ints:
        """Characters of every text, by its number."""
        return np.concatenate(self._lengths)

    def add(self, column: Any) -> pa.Array[Any]:
        """Number the texts of an Arrow column; null stays null."""
        import pyarrow as pa
        import pyarrow.compute

        compute: Any = pyarrow.compute
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        encoded: Any = column.dictionary_encode()
        distinct = encoded.dictionary
        before = len(self._seen)
        numbers = self._seen.of(*_hashes(distinct))
        new = distinct.take(pa.array(np.flatnonzero(numbers >= before)))
        if len(new):
            self._starts.append(before)
            self._lengths.append(np.asarray(compute.utf8_length(new), dtype=np.int64))
            self._blocks.append(self._kept(new))
        return pa.array(numbers.astype(np.int32)).take(encoded.indices)

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

    def _kept(self, new: Any) -> Any:
        """The block itself while memory is to spare, else its place in the file."""
        import pyarrow as pa

        if new.nbytes <= self._budget:
            self._budget -= new.nbytes
            return new
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the texts
            weakref.finalize(self, self._file.close)
        sink = pa.BufferOutputStream()
        batch = pa.record_batch([new], names=["text"])
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        offset = self._file.seek(0, 2)
        return offset, self._file.write(sink.getvalue())

    def _array(self, place: int) -> Any:
        block = self._blocks[place]
        if not isinstance(block, tuple):
            return block
        if self._last[0] != place:
            self._last = place, self._load(*block)
        return self._last[1]

    def _load(self, offset: int, size: int) -> Any:
        import pyarrow as pa

        self._file.seek(offset)
        with pa.ipc.open_stream(self._file.read(size)) as reader:
            return reader.read_all().column("text").combine_chunks()


def _hashes(texts: Any) -> tuple[Hashes, Hashes]:
    from pandas.util import hash_array

    values = texts.to_numpy(zero_copy_only=False).astype(object, copy=False)
    first, second = (hash_array(values, hash_key=key, categorize=False) for key in _KEYS)
    return first, second


class _Numbers:
    """A hash table of 128-bit keys with open addressing, for whole arrays of keys at a time."""

    def __init__(self) -> None:
        self._first = np.zeros(2**12, np.uint64)  # the keys, by number
        self._second = np.zeros(2**12, np.uint64)
        self._slots = np.full(2**13, -1, np.int32)  # the number that lives in each slot
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, first: Hashes, second: Hashes) -> Ints:
        """The number of each key; new keys, which must differ, get the next ones in their order."""
        numbers = self._find(first, second)
        new = np.flatnonzero(numbers < 0)
        if len(new):
            numbers[new] = np.arange(self._count, self._count + len(new))
            self._append(first[new], second[new])
        return numbers

    def _find(self, first: Hashes, second: Hashes) -> Ints:
        """The number of each key, −1 where it is new."""
        numbers = np.full(len(first), -1, np.int64)
        left = np.arange(len(first))
        slot = self._home(first)
        while len(left):
            held = self._slots[slot]
            same = (self._first[held] == first[left]) & (self._second[held] == second[left])
            same &= held >= 0
            numbers[left[same]] = held[same]
            on = (held >= 0) & ~same
            left, slot = left[on], (slot[on] + 1) & (len(self._slots) - 1)
        return numbers

    def _append(self, first: Hashes, second: Hashes) -> None:
        count = self._count + len(first)
        if count > len(self._first):
            grown = max(count, 2 * len(self._first))
            self._first, self._second = (
                np.concatenate([keys, np.zeros(grown - len(keys), np.uint64)])
                for keys in (self._first, self._second)
            )
        self._first[self._count : count], self._second[self._count : count] = first, second
        before, self._count = self._count, count
        if 2 * count > len(self._slots):
            size = 1 << int(4 * count - 1).bit_length()
            self._slots = np.full(size, -1, np.int32)
            before = 0
        self._settle(np.arange(before, count))

    def _settle(self, left: Ints) -> None:
        """Give numbers a slot each; of several that want the same one, the others move on."""
        slot = self._home(self._first[left])
        while len(left):
            free = self._slots[slot] < 0
            self._slots[slot[free]] = left[free]
            on = self._slots[slot] != left
            left, slot = left[on], (slot[on] + 1) & (len(self._slots) - 1)

    def _home(self, first: Hashes) -> Ints:
        return (first & np.uint64(len(self._slots) - 1)).astype(np.int64)
