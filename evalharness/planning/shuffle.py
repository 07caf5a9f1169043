"""A seeded permutation of 0..n-1, computed block by block: a plan of any size starts at once.

A balanced Feistel network over the smallest even-bit domain that covers n, with values outside
walked back in (cycle walking), is a bijection on 0..n-1. Four rounds of a 64-bit mixer are ample:
the aim is that settings and prompts interleave, not secrecy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROUNDS = 4


class FeistelPermutation:
    """A permutation of ``range(n)`` decided by ``seed`` alone.

    Args:
        n: length, ≥ 0.
        seed: any integer; equal seeds give equal permutations on every machine.
    """

    def __init__(self, n: int, seed: int) -> None:
        self._n = n
        self._half = max(1, ((max(n - 1, 1)).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        self._keys = [_mix(seed * 4 + r + 1) for r in range(_ROUNDS)]

    def take(self, start: int, stop: int) -> NDArray[np.int64]:
        """The permutation's values at positions start..stop-1."""
        import numpy as np

        values = self._encrypt(np.arange(start, min(stop, self._n), dtype=np.uint64))
        outside = values >= self._n
        while outside.any():
            values[outside] = self._encrypt(values[outside])
            outside = values >= self._n
        return values.astype(np.int64)

    def _encrypt(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        import numpy as np

        half, mask = np.uint64(self._half), np.uint64(self._mask)
        left, right = values >> half, values & mask
        for key in self._keys:
            mixed = (right + np.uint64(key)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            mixed ^= mixed >> np.uint64(32)
            left, right = right, left ^ (mixed & mask)
        return (left << half) | right


def _mix(value: int) -> int:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), to spread small seeds over 64 bits."""
    value = (value * 0x9E3779B97F4A7C15) & (2**64 - 1)
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return value ^ (value >> 31)
