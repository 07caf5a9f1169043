"""The paired sign-flip permutation test, many comparisons at once.

Under "no difference" the two settings of a comparison are exchangeable for each prompt, so the
sign of a prompt's difference is a coin toss (Fisher, *The Design of Experiments*, 1935, §21).
Where prompts form clusters, a cluster changes sign as a whole.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.process.fork import available_cpus

Floats = NDArray[np.float64]

DRAWS = 9_999
_EXACT_UP_TO = 13  # non-zero units: 2^13 = 8,192 sign patterns, fewer than the draws
_EXPONENT_LIMIT = 60.0  # the chance of 9,999 patterns of 2 exp(-60) each is 10^-22
_SIGNS_DRAWN = 4_000_000  # at a time; another number here gives other patterns
_SIGNS_MULTIPLIED = 1_000_000  # at a time: 8 MB as floats


def sign_flip(
    differences: ArrayLike,
    *,
    clusters: NDArray[Any] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Floats:
    """Two-sided p values for "the mean difference is 0", one a column.

    All 2^m patterns are enumerated for a column with at most 13 units whose difference is not
    0 (an exact p); other columns share ``draws`` random patterns, and p is
    ``(1 + as extreme) / (1 + draws)`` (Phipson and Smyth, SAGMB 9, 2010), never 0.

    Args:
        differences: prompts × comparisons; NaN where a prompt is not joined. One dimension is
            one comparison.
        clusters: one label a prompt, None for independent prompts.
        seed: of the draws. The pattern a prompt gets depends on its row and the seed alone, not
            on which other columns are tested.
        draws: how many random patterns.

    Returns:
        p for each column: 1 where all differences are 0, NaN where no prompt is joined.

    """
    table = np.asarray(differences, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    flips = SignFlips(clusters=clusters, seed=seed, draws=draws)
    for column in table.T:
        flips.add(column)
    return flips.p()


class SignFlips:
    """:func:`sign_flip` of columns that are added one by one, and are never all in memory.

    Drawing the signs costs as much as multiplying them with dozens of columns, so everything that
    is tested over the same units is best added to one object. Only columns that need random
    patterns are stored, and of equal columns only the first.

    Args:
        clusters, seed, draws: as :func:`sign_flip` takes them.
    """

    def __init__(
        self, *, clusters: NDArray[Any] | None = None, seed: int = 0, draws: int = DRAWS
    ) -> None:
        self._codes = (
            None if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
        )
        self._seed = seed
        self._draws = draws
        self._p: list[float] = []
        self._drawn_columns: deque[Floats] = deque()  # those that need random patterns
        self._slacks: list[float] = []
        self._row_by_digest: dict[bytes, int] = {}
        self._row_by_column: dict[int, int] = {}  # among the columns that need random patterns

    def add(self, column: Floats) -> int:
        """Add a column, one entry a prompt; returns its number."""
        known = np.isfinite(column)
        sums = _unit_sums(np.where(known, column, 0.0), self._codes)
        sizes = np.abs(sums)
        # How far two sums may differ through rounding alone and still count as a tie.
        slack = 1e-10 * float(sizes.sum())
        nonzero = int(np.count_nonzero(sizes > 1e-12))
        p = 1.0 if known.any() else np.nan
        if 0 < nonzero <= _EXACT_UP_TO:
            p = _enumerate(sums[sizes > 1e-12], slack)
        elif nonzero and _is_unreachable(sums, slack):
            p = 1.0 / (1.0 + self._draws)
        elif nonzero:
            key = hashlib.sha256(sums.tobytes()).digest()
            if key not in self._row_by_digest:
                self._row_by_digest[key] = len(self._drawn_columns)
                self._drawn_columns.append(sums)
                self._slacks.append(slack)
            self._row_by_column[len(self._p)] = self._row_by_digest[key]
        self._p.append(p)
        return len(self._p) - 1

    def p(self) -> Floats:
        """The p values of all columns; nothing can be added afterwards."""
        if self._drawn_columns:
            sums = np.empty((len(self._drawn_columns), len(self._drawn_columns[0])))
            for row in sums:  # each column is freed as soon as it is copied
                row[:] = self._drawn_columns.popleft()
            extreme = _count_extreme(sums, np.array(self._slacks), self._seed, self._draws)
            for column, row in self._row_by_column.items():
                self._p[column] = float((1.0 + extreme[row]) / (1.0 + self._draws))
        return np.array(self._p, dtype=np.float64)


def _is_unreachable(sums: Floats, slack: float) -> bool:
    """Whether no random pattern can reach the total of a column, so that none need be tried.

    Hoeffding (JASA 58, 1963, theorem 2) bounds the chance that one does by
    ``2 exp(-bound^2 / (2 sum s^2))``.
    """
    bound = abs(float(sums.sum())) - slack
    return bound > 0 and bound**2 > 2.0 * _EXPONENT_LIMIT * float(sums @ sums)


def _unit_sums(column: Floats, codes: NDArray[Any] | None) -> Floats:
    """Sum over the units that change sign together: prompts, or clusters given by their codes."""
    if codes is None:
        return column
    return np.bincount(codes, column).astype(np.float64)


def _enumerate(units: Floats, slack: float) -> float:
    """Exact p of one column: the share of all sign patterns at least as extreme."""
    numbers = np.arange(2**units.size, dtype=np.int64)
    plus: Floats = (numbers[:, None] >> np.arange(units.size) & 1).astype(np.float64)
    flipped: Floats = plus @ units * 2.0 - units.sum()
    return float(np.mean(np.abs(flipped) >= abs(float(units.sum())) - slack))


def _count_extreme(sums: Floats, slack: Floats, seed: int, draws: int) -> NDArray[np.int64]:
    """How many of ``draws`` random sign patterns are at least as extreme, for each row of ``sums``.

    A sum with random signs is twice the sum of the units drawn "plus", less the total: so the
    signs are plain random bits, and one matrix product serves all comparisons.
    """
    units = sums.shape[1]
    total = sums.sum(axis=1)
    bound = np.abs(total) - slack
    rng = np.random.default_rng(seed)
    # Either these threads share the products or those of the linear algebra library do: both
    # together would wait for each other, spinning.
    single_threaded_blas = os.environ.get("OPENBLAS_NUM_THREADS") == "1"
    step = max(1, (_SIGNS_MULTIPLIED if single_threaded_blas else _SIGNS_DRAWN) // units)
    threads = min(available_cpus(), -(-draws // step)) if single_threaded_blas else 1
    buffers = SimpleQueue[Floats]()
    for _ in range(threads):
        buffers.put(np.empty((min(step, draws), units)))

    def count(packed: NDArray[np.uint8]) -> NDArray[np.int64]:
        buffer = buffers.get()
        plus = buffer[: len(packed)]
        np.copyto(plus, np.unpackbits(packed, axis=1, count=units))
        flipped = 2.0 * (sums @ plus.T) - total[:, None]
        buffers.put(buffer)
        return (np.abs(flipped) >= bound[:, None]).sum(axis=1)

    extreme = np.zeros(len(sums), dtype=np.int64)
    rows = max(1, _SIGNS_DRAWN // units)
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, draws, rows):
            size = min(rows, draws - start), (units + 7) // 8
            packed = rng.integers(0, 256, size=size, dtype=np.uint8)
            blocks = [packed[first : first + step] for first in range(0, len(packed), step)]
            extreme += sum(pool.map(count, blocks))
    return extreme
