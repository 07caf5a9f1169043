"""Costs of a whole table of records: arrays for statistics, exact totals for money.

Rows are grouped by provider, model and day, so that a million records need a handful of price
look-ups; the rest is integer arithmetic in pico-dollars. No total passes through a float.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.row_store import ColumnStore, iter_tables
from evalharness.pricing.bill_difference import likely_reason
from evalharness.pricing.book import PriceBook
from evalharness.pricing.price import PICO, Price, to_usd
from evalharness.pricing.row_costs import PriceLookup, costs_without_details, row_costs_by_price
from evalharness.pricing.usage_columns import (
    COLUMNS,
    Bools,
    Floats,
    Ints,
    MoneyColumn,
    is_delivered,
    read_codes,
    read_money,
    read_usage,
)

if TYPE_CHECKING:
    import pyarrow as pa


class SettingCost(msgspec.Struct, frozen=True, kw_only=True):
    """The money of one setting. Dollars are exact; None means that no row has a figure.

    Attributes:
        rows: records of the setting.
        known: rows whose cost is exact; they alone make ``total_usd``.
        estimated: further rows with a price but incomplete usage; ``estimate_usd`` is their sum,
            rounded to pico-dollars, and in no total.
        unpriced: rows whose model has no price.
        billed_rows: rows for which the provider reported ``billed_usd``; their sum is
            ``billed_total_usd``.
        compared: rows with both; ``difference_usd`` is computed minus billed over exactly these,
            and ``difference_reason`` says what likely makes it.
    """

    rows: int
    known: int
    total_usd: Decimal | None
    estimated: int
    estimate_usd: Decimal | None
    unpriced: int
    billed_rows: int
    billed_total_usd: Decimal | None
    compared: int
    difference_usd: Decimal | None
    difference_reason: str | None


class CostColumns(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Costs of a records table, row by row and by setting.

    Attributes:
        pico: exact cost of each row in pico-dollars, 0 where unknown.
        known: where it is known.
        estimated_rows: numbers of the rows that have an estimate instead.
        estimated_rows_usd: their estimates, in dollars.
        settings: by setting_id.
        prices: those used.
        unpriced: the (provider, model) pairs without one.

    """

    pico: Ints
    known: Bools
    estimated_rows: Ints
    estimated_rows_usd: Floats
    settings: dict[str, SettingCost]
    prices: list[Price]
    unpriced: list[tuple[str | None, str | None]]

    @property
    def cost_usd(self) -> Floats:
        """The cost of each row, exact up to float64; NaN where unknown."""
        return np.where(self.known, self.pico / PICO, np.nan)

    @property
    def estimate_usd(self) -> Floats:
        """The estimate of each row; NaN where there is none."""
        estimates = np.full(len(self.pico), np.nan)
        estimates[self.estimated_rows] = self.estimated_rows_usd
        return estimates


def cost_columns(
    records: pa.Table | ColumnStore, book: PriceBook, *, at: date | None = None
) -> CostColumns:
    """What each record cost, and each setting.

    A cost supplied with an import (``cost_usd_imported``) is taken as it is. A record's day is that
    of ``sent_at`` in UTC.

    An estimate is made for delivered records with a price but without complete usage: with nothing
    cached and nothing reasoned where only those counts are missing, else the mean cost of the
    setting's known records. Records with status ``error`` get none: they may have cost nothing.

    Args:
        records: a table with :data:`~evalharness.pricing.usage_columns.COLUMNS`.
        book: the prices.
        at: the day for records without ``sent_at``; None is today.
    """
    rows = _PricedRows(PriceLookup(book, at))
    for block in iter_tables(records, COLUMNS):
        rows.add(block)
    return rows.build()


class _PricedRows:
    """The rows priced so far, block by block, in few bytes each."""

    def __init__(self, lookup: PriceLookup) -> None:
        self._lookup = lookup
        self._setting_codes: dict[str, int] = {}  # by setting_id
        self._settings: list[NDArray[np.int32]] = []
        self._pico: list[Ints] = []
        self._known: list[Bools] = []
        self._priced: list[Bools] = []
        self._has_details: list[Bools] = []  # cached or reasoning tokens
        self._needs_estimate: list[Bools] = []
        # Numbers of rows, and what they cost if nothing was cached and nothing reasoned.
        self._without_details: list[tuple[Ints, Ints]] = []
        self._bills: list[tuple[Ints, MoneyColumn]] = []  # numbers of rows with a bill, and bills
        self._count = 0

    def add(self, records: pa.Table) -> None:
        """Price one more block of records."""
        usage, by_price = read_usage(records), self._lookup.group_by_price(records)
        pico, known = row_costs_by_price(records, usage, by_price)
        priced = known.copy()
        for price, rows in by_price:
            priced[rows] = True
            # Estimates are made for rows without an exact cost alone.
            inexact = rows[~known[rows]]
            costs, costs_known = costs_without_details(price, usage.take(inexact))
            self._without_details.append((inexact[costs_known] + self._count, costs[costs_known]))
        self._settings.append(self._codes(records))
        self._pico.append(pico)
        self._known.append(known)
        self._priced.append(priced)
        self._has_details.append((usage.cached.value > 0) | (usage.reasoning.value > 0))
        self._needs_estimate.append(is_delivered(records) & priced & ~known)
        billed = read_money(records, "billed_usd")
        billed_rows = np.flatnonzero(billed.known)
        self._bills.append((billed_rows + self._count, billed.take(billed_rows)))
        self._count += len(known)

    def _codes(self, records: pa.Table) -> NDArray[np.int32]:
        """The number of the setting of each record."""
        names, codes = read_codes(records, "setting_id")
        known = self._setting_codes
        numbers = [known.setdefault(str(name), len(known)) for name in names]
        return np.array(numbers, np.int32)[codes]

    def build(self) -> CostColumns:
        """All rows together, and the sums of each setting."""
        setting, pico = np.concatenate(self._settings), np.concatenate(self._pico)
        known, priced, has_details, needs_estimate = (
            np.concatenate(blocks)
            for blocks in (self._known, self._priced, self._has_details, self._needs_estimate)
        )
        wanted = np.flatnonzero(needs_estimate)
        estimated_rows, estimates_usd = self._estimates(setting, pico, known, wanted)
        bills = _concatenate_bills(self._bills)
        settings: dict[str, SettingCost] = {}
        for name, code in self._setting_codes.items():
            rows = np.flatnonzero(setting == code)
            estimates = estimates_usd[setting[estimated_rows] == code]
            settings[name] = _setting_cost(rows, pico, known, estimates, priced, bills, has_details)
        return CostColumns(
            pico=pico,
            known=known,
            estimated_rows=estimated_rows,
            estimated_rows_usd=estimates_usd,
            settings=settings,
            prices=self._lookup.prices(),
            unpriced=self._lookup.unpriced(),
        )

    def _estimates(
        self, setting: NDArray[np.int32], pico: Ints, known: Bools, wanted: Ints
    ) -> tuple[Ints, Floats]:
        """Of the rows that want an estimate, those for which there is one, and its dollars."""
        if not len(wanted):
            return wanted, np.zeros(0)
        groups = len(self._setting_codes)
        counts = np.bincount(setting[known], minlength=groups)
        sums = np.bincount(setting[known], weights=pico[known] / PICO, minlength=groups)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        dollars = means[setting[wanted]]
        if self._without_details:
            rows, costs = (np.concatenate(c) for c in zip(*self._without_details, strict=True))
            index = np.minimum(np.searchsorted(wanted, rows), len(wanted) - 1)
            is_wanted = wanted[index] == rows
            dollars[index[is_wanted]] = costs[is_wanted] / PICO
        has_estimate = ~np.isnan(dollars)
        return wanted[has_estimate], dollars[has_estimate]


def _concatenate_bills(blocks: list[tuple[Ints, MoneyColumn]]) -> tuple[Ints, MoneyColumn]:
    low, high, known = (np.concatenate(c) for c in zip(*(m for _, m in blocks), strict=True))
    return np.concatenate([rows for rows, _ in blocks]), MoneyColumn(low, high, known)


def _setting_cost(
    rows: Ints,
    pico: Ints,
    known: Bools,
    estimates: Floats,
    priced: Bools,
    bills: tuple[Ints, MoneyColumn],
    has_details: Bools,
) -> SettingCost:
    """The money of one setting, given by its rows and their estimates."""
    exact = rows[known[rows]]
    billed_rows, billed = bills
    if len(billed_rows):
        own = np.flatnonzero(np.isin(billed_rows, rows, assume_unique=True))
        billed_rows, billed = billed_rows[own], billed.take(own)
    is_compared = known[billed_rows]
    compared, bill = billed_rows[is_compared], billed.take(np.flatnonzero(is_compared))
    estimate = round(float(np.sum(estimates)) * PICO)
    difference = _sum(pico[compared]) - _sum_money(bill)
    return SettingCost(
        rows=len(rows),
        known=len(exact),
        total_usd=to_usd(_sum(pico[exact])) if len(exact) else None,
        estimated=len(estimates),
        estimate_usd=to_usd(estimate) if len(estimates) else None,
        unpriced=int((~priced[rows]).sum()),
        billed_rows=len(billed_rows),
        billed_total_usd=to_usd(_sum_money(billed)) if len(billed_rows) else None,
        compared=len(compared),
        difference_usd=to_usd(difference) if len(compared) else None,
        # Equal in exact arithmetic is equal, whatever floats make of it.
        difference_reason=likely_reason(
            pico[compared] / PICO, _dollars(bill), has_details[compared]
        )
        if difference
        else None,
    )


def _sum(values: Ints) -> int:
    """An exact sum: the halves of a million 64-bit numbers add up without overflow."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def _sum_money(money: MoneyColumn) -> int:
    low = money.low
    words = (int((low >> np.uint64(32)).sum()) << 32) + int((low & np.uint64(0xFFFFFFFF)).sum())
    return (_sum(money.high) << 64) + words


def _dollars(money: MoneyColumn) -> Floats:
    return (money.high.astype(np.float64) * 2.0**64 + money.low.astype(np.float64)) / PICO
