"""Exact sums of whole numbers over the records of each cell.

Records are sorted by cell, so those of a cell follow each other. Sums of cells add up to those of
settings, models, tags and prompts.
"""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame

_LIMB = 2**32 - 1


class MoneySums(msgspec.Struct, frozen=True, eq=False):
    """Sums of money by cell, in two halves, so that no sum overflows.

    Attributes:
        high, low: one of each a cell; a sum is ``high * 2**32 + low`` pico-dollars.
    """

    high: Ints
    low: Ints

    def total(self, cells: Ints) -> int:
        """The sum over some cells, in pico-dollars."""
        return (int(self.high[cells].sum()) << 32) + int(self.low[cells].sum())

    def per_cell(self) -> Floats:
        """The sum of each cell in pico-dollars, rounded to a float."""
        return self.high.astype(np.float64) * 2.0**32 + self.low.astype(np.float64)


class CellSums:
    """Adds up numbers of records by cell.

    Args:
        frame: the records.
    """

    def __init__(self, frame: RunFrame) -> None:
        cell = frame.cell
        self._starts = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]][: len(cell)])
        self._filled_cells = cell[self._starts]
        self._cell_count = frame.cells

    def sums(self, values: Ints | Bools) -> Ints:
        """Sums of whole numbers."""
        return self._to_all_cells(np.add.reduceat(values, self._starts, dtype=np.int64))

    def money(self, pico: Ints) -> MoneySums:
        """Sums of amounts in pico-dollars."""
        return MoneySums(self.sums(pico >> 32), self.sums(pico & _LIMB))

    def _to_all_cells(self, values: Ints) -> Ints:
        """Values of the cells with records as values of all cells."""
        out = np.zeros(self._cell_count, values.dtype)
        out[self._filled_cells] = values
        return out
