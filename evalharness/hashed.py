"""Numbers for 128-bit keys: a hash table for whole arrays of keys at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


def mixed(key: Hashes) -> Hashes:
    """The same keys with their bits spread: the finaliser of SplitMix64, which is one to one."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


class Numbers:
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
