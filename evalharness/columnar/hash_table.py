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
        before, rows = self._count, len(first)
        self._reserve(before + rows)
        # As if all were new; those that are get their final numbers below.
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
        """The number of each key and the slot in which it lives; new ones take a free one.

        The number of a new key is that of its first row, counted after the numbers there are.
        """
        numbers, slots = np.empty(len(first), np.int64), np.empty(len(first), np.int64)
        left, slot = np.arange(len(first)), self._home(first)
        while len(left):
            held = self._slots.take(slot)
            # From the last to the first: of several that take the same slot, the first is left.
            free = np.flatnonzero(held < 0)[::-1]
            taken = slot[free]
            self._slots[taken] = self._count + left[free]
            held[free] = self._slots.take(taken)
            same = self._first.take(held) == first.take(left)
            same &= self._second.take(held) == second.take(left)
            here = left[same]
            numbers[here], slots[here] = held[same], slot[same]
            on = np.flatnonzero(~same)
            left, slot = left[on], (slot[on] + 1) & (len(self._slots) - 1)
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
            self._settle(np.arange(self._count))

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
