"""Distinct texts under small numbers, so that millions of outputs are held once or not at all.

Two texts are one when 128 bits of their hashes are equal (XXH3): among 10⁹ different texts two
would be taken for one with a chance of 10⁻²¹. Texts beyond a budget of memory
are written to a temporary file and read back from there.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from itertools import pairwise
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
        self._in_file: set[int] = set()  # the blocks that are
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
        chunked: Any = pa.ChunkedArray
        whole = column.combine_chunks() if isinstance(column, chunked) else column
        before = len(self._seen)
        rows = np.flatnonzero(np.asarray(whole.is_valid()))
        there = whole if len(rows) == len(whole) else whole.drop_null()
        numbers, first = self._seen.of(*_hashes(there))
        if len(first):
            new = there.take(pa.array(first))
            self._starts.append(before)
            self._lengths.append(np.asarray(compute.utf8_length(new), dtype=np.int64))
            self._blocks.append(self._kept(new))
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
        writer: Any = pa.ipc.new_stream(sink, batch.schema)
        with writer:
            writer.write_batch(batch)
        offset = self._file.seek(0, 2)
        self._in_file.add(len(self._blocks))
        return offset, self._file.write(sink.getvalue())

    def _array(self, place: int) -> Any:
        block = self._blocks[place]
        if place not in self._in_file:
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
    """The two halves of the hash of each text of an Arrow array without nulls."""
    from xxhash import xxh3_128_digest

    if not len(texts):
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset :][: len(texts) + 1].tolist()
    view = memoryview(b"" if data is None else data)
    digests = b"".join([xxh3_128_digest(view[a:b]) for a, b in pairwise(ends)])
    halves = np.frombuffer(digests, np.uint64).reshape(-1, 2)
    return halves[:, 0].copy(), halves[:, 1].copy()


class _Numbers:
    """A hash table of 128-bit keys with open addressing, for whole arrays of keys at a time."""

    def __init__(self) -> None:
        self._first = np.zeros(2**12, np.uint64)  # the keys, by number
        self._second = np.zeros(2**12, np.uint64)
        self._slots = np.full(2**13, -1, np.int32)  # the number that lives in each slot
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, first: Hashes, second: Hashes) -> tuple[Ints, Ints]:
        """The number of each key, and where each new one first stands.

        New keys get the next numbers, in the order in which they come.
        """
        numbers = self._find(first, second)
        new = np.flatnonzero(numbers < 0)
        if not len(new):
            return numbers, new
        order = new[np.lexsort((second[new], first[new]))]
        other = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
        starts = np.flatnonzero(np.r_[True, other])
        found = order[starts]  # the first of equal ones, since the sort is stable
        by_place = np.argsort(found)
        rank = np.empty_like(by_place)
        rank[by_place] = np.arange(self._count, self._count + len(found))
        numbers[order] = np.repeat(rank, np.diff(np.r_[starts, len(order)]))
        found = found[by_place]
        self._append(first[found], second[found])
        return numbers, found

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
