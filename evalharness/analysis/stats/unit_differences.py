"""Paired differences summed by what changes sign together: prompts, or clusters of them."""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NORMAL_FROM = 500  # units
# Largest sum of fourth powers, as a part of the squared sum of squares: there the normal
# approximation of a sum under random signs is right to within a hundredth of p = .05.
_NORMAL_KURTOSIS = 0.01


def is_balanced(parts: Floats) -> bool:
    """Whether no few of the parts dominate, so that their sum under random signs is normal."""
    squares = parts * parts
    return float(squares @ squares) <= _NORMAL_KURTOSIS * float(squares.sum()) ** 2


class UnitDifferences(NamedTuple):
    """Paired differences by unit, 0 and 0 for units without a joined prompt.

    Attributes:
        sums: of the differences of each unit.
        sizes: joined prompts of each unit.
        lowest, highest: of all differences; NaN without any.
    """

    sums: Floats
    sizes: Floats
    lowest: float
    highest: float

    @classmethod
    def of(cls, column: Floats, codes: NDArray[Any] | None) -> UnitDifferences:
        """Sum a column over prompts, or over clusters given by their codes."""
        joined = np.isfinite(column)
        values = np.where(joined, column, 0.0)
        present = values[joined]
        ends = (float(present.min()), float(present.max())) if present.size else (math.nan,) * 2
        if codes is None:
            return cls(values, joined.astype(np.float64), *ends)
        sizes = np.bincount(codes, joined)
        sums = np.bincount(codes, values).astype(np.float64)
        return cls(sums, sizes.astype(np.float64), *ends)

    @property
    def known(self) -> int:
        """Units with a joined prompt."""
        return int(np.count_nonzero(self.sizes))

    @property
    def mean(self) -> float:
        """The mean difference; NaN without any."""
        count = float(self.sizes.sum())
        return math.fsum(self.sums.tolist()) / count if count else math.nan

    @property
    def is_normal(self) -> bool:
        """Whether the sum under random signs is nearly normal, at 0 and at the mean."""
        if self.known < NORMAL_FROM:
            return False
        parts = (self.sums, self.sums - self.sizes * self.mean, self.sizes)
        return all(is_balanced(part) for part in parts)

    def digest(self) -> bytes:
        """Equal for equal columns."""
        return hashlib.sha256(self.sums.tobytes() + self.sizes.tobytes()).digest()

    def rounding(self) -> float:
        """How far a mean of some of the units may be from 0 through rounding alone."""
        return 1e-10 * float(np.abs(self.sums).sum()) / max(1.0, float(self.sizes.sum()))
