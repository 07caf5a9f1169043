"""Exact sums of whole numbers over the records of each cell.

Records lie in the order of their cells, so a cell is a stretch of them. Sums of cells add up to
those of settings, models, tags and prompts, whichever way a run is cut.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import Frame

_LIMB = 2**32 - 1


class Amounts(msgspec.Struct, frozen=True, eq=False):
    """Sums of amounts of money in the cells, in two halves, so that no sum is too large.

    Attributes:
        high, low: one each a cell; a sum is ``high * 2**32 + low`` pico-dollars.
    """

    high: Ints
    low: Ints

    def of(self, cells: Ints) -> int:
        """The sum over some cells, in pico-dollars."""
        return (int(self.high[cells].sum()) << 32) + int(self.low[cells].sum())

    def pico(self) -> Floats:
        """The sum of each cell in pico-dollars, as near as a float comes."""
        return self.high.astype(np.float64) * 2.0**32 + self.low.astype(np.float64)


class PerCell:
    """Adds numbers of records up by cell.

    Args:
        frame: the records.
    """

    def __init__(self, frame: Frame) -> None:
        cell = frame.cell
        self._starts = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]][: len(cell)])
        self._there = cell[self._starts]
        self._cells = frame.cells

    def sums(self, values: Ints | Bools) -> Ints:
        """Sums of whole numbers."""
        return self._spread(np.add.reduceat(values, self._starts, dtype=np.int64), 0)

    def amounts(self, pico: Ints) -> Amounts:
        """Sums of amounts in pico-dollars."""
        return Amounts(self.sums(pico >> 32), self.sums(pico & _LIMB))

    def lowest(self, values: Floats) -> Floats:
        """The lowest number that is not NaN; infinity where there is none."""
        return self._spread(np.fmin.reduceat(values, self._starts), np.inf)

    def highest(self, values: Floats) -> Floats:
        """The highest number that is not NaN; minus infinity where there is none."""
        return self._spread(np.fmax.reduceat(values, self._starts), -np.inf)

    def _spread(self, found: Any, empty: float) -> Any:
        out = np.full(self._cells, empty, found.dtype)
        unknown = np.isnan(found) if found.dtype.kind == "f" else False
        out[self._there] = np.where(unknown, empty, found)
        return out
