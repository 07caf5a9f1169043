"""Exact sums of money in arrays: whole pico-dollars (10⁻¹² USD), never a float.

A cost read from a float64 column is a whole number of pico-dollars again after rounding: exact
below 2⁵¹ pico-dollars, 2,251 dollars a request.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from evalharness.pricing.price import PICO, to_usd
from evalharness.pricing.usage_columns import Bools, Floats, Ints, read_money

if TYPE_CHECKING:
    import pyarrow as pa

_LIMB = 21  # bits; sums of 2³² such limbs are exact in float64, which bincount adds in
_MOST = 2**62


def from_usd(cost_usd: Floats) -> Ints:
    """Dollars as pico-dollars, 0 where unknown (NaN)."""
    return np.rint(np.nan_to_num(cost_usd) * PICO).astype(np.int64)


def money_column(table: pa.Table, name: str) -> tuple[Ints, Bools]:
    """A decimal column in pico-dollars, and where it is known.

    Amounts that no request costs (below zero, or 2⁶² pico-dollars and more) count as unknown.
    """
    money = read_money(table, name)
    known = money.known & (money.high == 0) & (money.low < _MOST)
    return np.where(known, money.low, 0).astype(np.int64), known


def total(pico: Ints) -> Decimal:
    """The exact sum in dollars."""
    high, low = int((pico >> 32).sum()), int((pico & 0xFFFFFFFF).sum())
    return to_usd((high << 32) + low)


def by_group(pico: Ints, group: Ints, groups: int) -> list[Decimal]:
    """The exact sum of each group in dollars; values are at least 0, groups count from 0."""
    sums = [0] * groups
    for place in range(3):
        limb = (pico >> (_LIMB * place)) & ((1 << _LIMB) - 1)
        counted = np.bincount(group, weights=limb.astype(np.float64), minlength=groups)
        for index in np.flatnonzero(counted).tolist():
            sums[index] += int(counted[index]) << (_LIMB * place)
    return [to_usd(value) for value in sums]
