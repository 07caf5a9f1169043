"""Patterns of signs for units that may change sign: all of them where they are few, else drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from evalharness.process.fork import available_cpus

Floats = NDArray[np.float64]
T = TypeVar("T")

DRAWS = 9_999
#: Up to this many units all patterns are tried: 2^12 with the sign of one unit fixed.
ALL_UP_TO = 13
_SIGNS_DRAWN = 4_000_000  # at a time; another number here gives other patterns
_SIGNS_MULTIPLIED = 1_000_000  # at a time: 8 MB as floats


class Patterns(NamedTuple):
    """How many sign patterns there are, and how a p value follows from them.

    A pattern and its opposite are equally extreme, so that only those with a plus for the last unit
    are tried.

    Attributes:
        units: that change sign.
        draws: random patterns; None where all are tried.
    """

    units: int
    draws: int | None

    @classmethod
    def of(cls, units: int, draws: int) -> Patterns:
        """All patterns of few units, ``draws`` random ones of more."""
        return cls(units, None if units <= ALL_UP_TO else draws)

    @property
    def tried(self) -> int:
        """How many patterns :meth:`map` goes through."""
        return 2 ** max(0, self.units - 1) if self.draws is None else self.draws

    def p_value(self, extreme: NDArray[np.int64]) -> Floats:
        """The p values of statistics that this many of the patterns reach.

        Random patterns do not hold the one observed, which counts as another:
        ``(1 + extreme) / (1 + draws)`` (Phipson and Smyth, SAGMB 9, 2010).
        """
        share: Floats = np.empty(extreme.shape)
        if self.draws is None:
            share[...] = extreme / self.tried
        else:
            share[...] = (1.0 + extreme) / (1.0 + self.draws)
        return share

    def fewest_not_rejected(self, alpha: float) -> int:
        """The fewest patterns that must reach a statistic for its p to be at least ``alpha``."""
        if self.draws is None:
            return max(1, int(np.ceil(alpha * self.tried - 1e-9)))
        return max(0, int(np.ceil(alpha * (1 + self.draws) - 1e-9)) - 1)

    def map(self, function: Callable[[Floats], T], seed: int) -> Iterator[T]:
        """Apply a function to all patterns, block by block, in an order that depends on ``seed``.

        The function gets patterns × units: 1 plus, 0 minus. It may run in several threads, each of
        which reuses the memory of its argument.
        """
        if self.draws is None:
            yield function(self._all())
            return
        # Either these threads share the products or those of the linear algebra library do: both
        # together would wait for each other, spinning.
        single_threaded_blas = os.environ.get("OPENBLAS_NUM_THREADS") == "1"
        step = max(1, (_SIGNS_MULTIPLIED if single_threaded_blas else _SIGNS_DRAWN) // self.units)
        threads = min(available_cpus(), -(-self.draws // step)) if single_threaded_blas else 1

        def apply(packed: NDArray[np.uint8]) -> T:
            return function(np.unpackbits(packed, axis=1, count=self.units).astype(np.float64))

        with ThreadPoolExecutor(threads) as pool:
            for packed in self._drawn(seed):
                blocks = [packed[first : first + step] for first in range(0, len(packed), step)]
                yield from pool.map(apply, blocks)

    def _all(self) -> Floats:
        numbers = np.arange(self.tried, dtype=np.int64)
        bits = numbers[:, None] >> np.arange(max(0, self.units - 1)) & 1
        return np.column_stack([bits, np.ones(self.tried)]).astype(np.float64)

    def _drawn(self, seed: int) -> Iterator[NDArray[np.uint8]]:
        assert self.draws is not None
        rng = np.random.default_rng(seed)
        rows = max(1, _SIGNS_DRAWN // self.units)
        for start in range(0, self.draws, rows):
            size = min(rows, self.draws - start), (self.units + 7) // 8
            yield rng.integers(0, 256, size=size, dtype=np.uint8)
