"""A hash table that numbers 128-bit keys, for whole arrays of keys at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


def splitmix64(key: Hashes) -> Hashes:
    """The keys with their bits mixed: the finaliser of SplitMix64, which is one to one."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


class IntHashTable:
    """A hash table with open addressing: 128-bit keys → consecutive numbers from 0."""

    def __init__(self) -> None:
        self._first = np.zeros(2**12, np.uint64)  # the keys, by number
        self._second = np.zeros(2**12, np.uint64)
        self._slots = np.full(2**13, -1, np.int32)  # the number in each slot; -1: free
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def number(self, first: Hashes, second: Hashes) -> tuple[Ints, Ints]:
        """The number of each key, and the rows in which new keys come first.

        New keys get the next numbers, in the order in which they come.
        """
        before, rows = self._count, len(first)
        self._reserve(before + rows)
        # All are stored as if they were new; those that are get their final numbers below.
        self._first[before : before + rows] = first
        self._second[before : before + rows] = second
        numbers, slots = self._find(first, second)
        new = np.flatnonzero(numbers == np.arange(before, before + rows))
        self._count += len(new)
        final = np.arange(before, self._count)
        self._slots[slots[new]] = final
        self._first[final], self._second[final] = first[new], second[new]
        renumbered = np.zeros(rows, np.int64)
        renumbered[new] = final
        fresh = np.flatnonzero(numbers >= before)
        numbers[fresh] = renumbered[numbers[fresh] - before]
        return numbers, new

    def _find(self, first: Hashes, second: Hashes) -> tuple[Ints, Ints]:
        """The number of each key and its slot; new keys take a free one.

        The number of a new key is that of its first row, counted on from the numbers in use.
        """
        numbers, slots = np.empty(len(first), np.int64), np.empty(len(first), np.int64)
        rows, slot = np.arange(len(first)), self._home_slot(first)
        while len(rows):
            in_slot = self._slots.take(slot)
            # Written from the last to the first: of several rows at the same slot, the first stays.
            free = np.flatnonzero(in_slot < 0)[::-1]
            taken = slot[free]
            self._slots[taken] = self._count + rows[free]
            in_slot[free] = self._slots.take(taken)
            same = self._first.take(in_slot) == first.take(rows)
            same &= self._second.take(in_slot) == second.take(rows)
            matched = rows[same]
            numbers[matched], slots[matched] = in_slot[same], slot[same]
            probing = np.flatnonzero(~same)
            rows, slot = rows[probing], (slot[probing] + 1) & (len(self._slots) - 1)
        return numbers, slots

    def _reserve(self, count: int) -> None:
        """Make room for so many keys, the slots at most half full."""
        if count > len(self._first):
            grown = max(count, 2 * len(self._first))
            self._first, self._second = (
                np.concatenate([keys, np.zeros(grown - len(keys), np.uint64)])
                for keys in (self._first, self._second)
            )
        if 2 * count > len(self._slots):
            self._slots = np.full(1 << int(4 * count - 1).bit_length(), -1, np.int32)
            self._reinsert(np.arange(self._count))

    def _reinsert(self, numbers: Ints) -> None:
        """Give each number a slot; of several at the same slot, one stays, the others probe on."""
        slot = self._home_slot(self._first[numbers])
        while len(numbers):
            free = self._slots[slot] < 0
            self._slots[slot[free]] = numbers[free]
            probing = self._slots[slot] != numbers
            numbers, slot = numbers[probing], (slot[probing] + 1) & (len(self._slots) - 1)

    def _home_slot(self, first: Hashes) -> Ints:
        return (first & np.uint64(len(self._slots) - 1)).astype(np.int64)
