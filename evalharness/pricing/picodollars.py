"""Exact sums of money in arrays: whole pico-dollars (10⁻¹² USD), never a float."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from evalharness.pricing.price import to_usd
from evalharness.pricing.usage_columns import Bools, Ints, MoneyColumn, read_money

if TYPE_CHECKING:
    import pyarrow as pa

_LIMIT = 2**62  # no request costs as much


def money_column(table: pa.Table, name: str) -> tuple[Ints, Bools]:
    """A decimal column in pico-dollars, and where it is known.

    Amounts that no request costs (below zero, or 2⁶² pico-dollars and more) count as unknown.
    """
    return request_amounts(read_money(table, name))


def request_amounts(money: MoneyColumn) -> tuple[Ints, Bools]:
    """The amounts of a column that a request can cost, 0 for the others, and where they are."""
    known = money.known & (money.high == 0) & (money.low < _LIMIT)
    return np.where(known, money.low, 0).astype(np.int64), known


def pico_sum(pico: Ints) -> int:
    """The exact sum: the halves of a million 64-bit numbers add up without overflow."""
    return (int((pico >> 32).sum()) << 32) + int((pico & 0xFFFFFFFF).sum())


def total(pico: Ints) -> Decimal:
    """The exact sum in dollars."""
    return to_usd(pico_sum(pico))
