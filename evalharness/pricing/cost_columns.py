"""Costs of a whole table of records: arrays for statistics, exact totals for money.

Rows are grouped by provider, model and day, so that a million records need a handful of price
look-ups; the rest is integer arithmetic in pico-dollars. No total passes through a float.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.row_store import ColumnStore
from evalharness.pricing.book import PriceBook
from evalharness.pricing.cost_sum import CostSum
from evalharness.pricing.picodollars import pico_sum, request_amounts
from evalharness.pricing.price import PICO, Price, to_usd
from evalharness.pricing.row_costs import (
    KNOWN,
    PriceLookup,
    ReasonCodes,
    costs_without_details,
    count_reasons,
    no_price_rows,
    row_costs_by_price,
)
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


class SettingCost(CostSum, frozen=True, kw_only=True):
    """The money of one setting: the one account that every place shows.

    Attributes:
        rows: records of the setting; ``known`` of them have an exact cost, the others are
            ``unknown``.
        delivered_unknown: records of unknown cost that are no errors.
        unpriced: rows whose model has no price.
        by_rule: rows whose usage does not add up as documented and was read by the provider's
            ``usage_rule``; they are among the known.
        billed_rows: rows for which the provider reported ``billed_usd``; ``billed_pico`` is their
            sum in pico-dollars.
        delivered_unbilled: the other rows that are no errors.
        compared: rows with a bill and a cost by the price table; ``difference_pico`` is computed
            minus billed over exactly these.
    """

    rows: int = 0
    delivered_unknown: int = 0
    unpriced: int = 0
    by_rule: int = 0
    billed_rows: int = 0
    billed_pico: int = 0
    delivered_unbilled: int = 0
    compared: int = 0
    difference_pico: int = 0

    @property
    def billed_total_usd(self) -> Decimal | None:
        """What the provider billed; None where it reported nothing."""
        return to_usd(self.billed_pico) if self.billed_rows else None

    @property
    def billed_unknown(self) -> int:
        """Records without a bill."""
        return self.rows - self.billed_rows

    @property
    def difference_usd(self) -> Decimal | None:
        """Computed minus billed; None where no record has both."""
        return to_usd(self.difference_pico) if self.compared else None


class CostColumns(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Costs of a records table, row by row and by setting.

    Attributes:
        pico: exact cost of each row in pico-dollars, 0 where unknown.
        reasons: why it is unknown, as codes of :mod:`~.row_costs`; 0 where it is known.
        from_bill: where the model has no price and the cost is the provider's bill.
        estimated_rows: numbers of the rows that have an estimate instead.
        estimated_rows_pico: their estimates, in whole pico-dollars.
        settings: by setting_id; those without records are absent.
        prices: those used.
        unpriced: the (provider, model) pairs without one.
        unpriced_in_batch: those that have none for requests in batches.
    """

    pico: Ints
    reasons: ReasonCodes
    from_bill: Bools
    estimated_rows: Ints
    estimated_rows_pico: Ints
    settings: dict[str, SettingCost]
    prices: list[Price]
    unpriced: list[tuple[str | None, str | None]]
    unpriced_in_batch: list[tuple[str | None, str | None]]

    @property
    def known(self) -> Bools:
        """Where the cost is known."""
        return self.reasons == KNOWN

    @property
    def computed(self) -> Bools:
        """Where the cost is known without the bill: by the price table, or imported."""
        return self.known & ~self.from_bill

    def setting(self, setting_id: str) -> SettingCost:
        """The money of a setting; one without records has none."""
        return self.settings.get(setting_id) or SettingCost()

    @property
    def computed_usd(self) -> Floats:
        """The cost of each row without the bill, exact up to float64; NaN where unknown."""
        return np.where(self.computed, self.pico / PICO, np.nan)

    @property
    def cost_usd(self) -> Floats:
        """The cost of each row, exact up to float64; NaN where unknown."""
        return np.where(self.known, self.pico / PICO, np.nan)


def cost_columns(records: ColumnStore, book: PriceBook, *, at: date | None = None) -> CostColumns:
    """What each record cost, and each setting.

    A cost supplied with an import (``cost_usd_imported``) is taken as it is. Where there is no
    price, the provider's bill is the cost. A record's day is that of ``sent_at`` in UTC.

    An estimate is made for delivered records with a price but without complete usage: with nothing
    cached and nothing reasoned where only those counts are missing, else the mean cost of the
    setting's known records. Records with status ``error`` get none: they may have cost nothing.

    Args:
        records: with :data:`~evalharness.pricing.usage_columns.COLUMNS`; absent ones are null.
        book: the prices.
        at: the day for records without ``sent_at``; None is today.
    """
    rows = _PricedRows(PriceLookup(book, at))
    for block in records.tables(COLUMNS):
        rows.add(block)
    return rows.build()


class _Rows(NamedTuple):
    """All rows of a table: setting and cost of each, and the bills of some."""

    setting: NDArray[np.int32]
    pico: Ints
    reasons: ReasonCodes
    priced: Bools
    delivered: Bools
    from_bill: Bools
    by_rule: Bools
    bills: tuple[Ints, MoneyColumn]


class _PricedRows:
    """The rows priced so far, block by block, in few bytes each."""

    def __init__(self, lookup: PriceLookup) -> None:
        self._lookup = lookup
        self._setting_codes: dict[str, int] = {}  # by setting_id
        self._settings: list[NDArray[np.int32]] = []
        self._pico: list[Ints] = []
        self._reasons: list[ReasonCodes] = []
        self._priced: list[Bools] = []
        self._delivered: list[Bools] = []
        self._from_bill: list[Bools] = []
        self._by_rule: list[Bools] = []
        # Numbers of rows, and what they cost if nothing was cached and nothing reasoned.
        self._without_details: list[tuple[Ints, Ints]] = []
        self._bills: list[tuple[Ints, MoneyColumn]] = []  # numbers of rows with a bill, and bills
        self._count = 0

    def add(self, records: pa.Table) -> None:
        """Price one more block of records."""
        usage, by_price = read_usage(records), self._lookup.group_by_price(records)
        pico, reasons, by_rule, _ = row_costs_by_price(records, usage, by_price)
        known = reasons == KNOWN
        priced = known.copy()
        for price, rows in by_price:
            priced[rows] = True
            # Estimates are made for rows without an exact cost alone.
            inexact = rows[~known[rows]]
            costs, costs_known = costs_without_details(price, usage.take(inexact))
            self._without_details.append((inexact[costs_known] + self._count, costs[costs_known]))
        billed = read_money(records, "billed_usd")
        bill, is_amount = request_amounts(billed)
        from_bill = is_amount & no_price_rows(reasons)
        pico, reasons = np.where(from_bill, bill, pico), np.where(from_bill, KNOWN, reasons)
        self._settings.append(self._codes(records))
        self._from_bill.append(from_bill)
        self._by_rule.append(by_rule)
        self._pico.append(pico)
        self._reasons.append(reasons.astype(np.uint8))
        self._priced.append(priced)
        self._delivered.append(is_delivered(records))
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
        rows = _Rows(
            setting=np.concatenate(self._settings),
            pico=np.concatenate(self._pico),
            reasons=np.concatenate(self._reasons),
            priced=np.concatenate(self._priced),
            delivered=np.concatenate(self._delivered),
            from_bill=np.concatenate(self._from_bill),
            by_rule=np.concatenate(self._by_rule),
            bills=_concatenate_bills(self._bills),
        )
        estimated_rows, estimates = self._estimates(rows)
        settings: dict[str, SettingCost] = {}
        for name, code in self._setting_codes.items():
            own_estimates = estimates[rows.setting[estimated_rows] == code]
            settings[name] = _setting_cost(
                rows, np.flatnonzero(rows.setting == code), own_estimates
            )
        return CostColumns(
            pico=rows.pico,
            reasons=rows.reasons,
            from_bill=rows.from_bill,
            estimated_rows=estimated_rows,
            estimated_rows_pico=estimates,
            settings=settings,
            prices=self._lookup.prices(),
            unpriced=self._lookup.unpriced(),
            unpriced_in_batch=self._lookup.unpriced(in_batch=True),
        )

    def _estimates(self, rows: _Rows) -> tuple[Ints, Ints]:
        """The rows for which there is an estimate, and its pico-dollars."""
        wanted = np.flatnonzero(rows.delivered & rows.priced & (rows.reasons != KNOWN))
        if not len(wanted):
            return wanted, np.zeros(0, np.int64)
        setting, estimates = rows.setting[wanted], np.full(len(wanted), -1, np.int64)
        for code in np.unique(setting).tolist():
            known = rows.pico[(rows.setting == code) & (rows.reasons == KNOWN)]
            if len(known):
                estimates[setting == code] = round(Fraction(pico_sum(known), len(known)))
        if self._without_details:
            numbers, costs = (np.concatenate(c) for c in zip(*self._without_details, strict=True))
            index = np.minimum(np.searchsorted(wanted, numbers), len(wanted) - 1)
            is_wanted = wanted[index] == numbers
            estimates[index[is_wanted]] = costs[is_wanted]
        has_estimate = estimates >= 0
        return wanted[has_estimate], estimates[has_estimate]


def _concatenate_bills(blocks: list[tuple[Ints, MoneyColumn]]) -> tuple[Ints, MoneyColumn]:
    low, high, known = (np.concatenate(c) for c in zip(*(m for _, m in blocks), strict=True))
    return np.concatenate([rows for rows, _ in blocks]), MoneyColumn(low, high, known)


def _setting_cost(table: _Rows, rows: Ints, estimates: Ints) -> SettingCost:
    """The money of one setting, given by its rows and their estimates."""
    reasons, delivered = table.reasons[rows], table.delivered[rows]
    exact = rows[reasons == KNOWN]
    billed_rows, billed = table.bills
    if len(billed_rows):
        own = np.flatnonzero(np.isin(billed_rows, rows, assume_unique=True))
        billed_rows, billed = billed_rows[own], billed.take(own)
    is_compared = (table.reasons[billed_rows] == KNOWN) & ~table.from_bill[billed_rows]
    compared, bill = billed_rows[is_compared], billed.take(np.flatnonzero(is_compared))
    return SettingCost(
        rows=len(rows),
        known=len(exact),
        pico=pico_sum(table.pico[exact]),
        estimated=len(estimates),
        estimate_pico=pico_sum(estimates),
        unknown_reasons=count_reasons(reasons),
        delivered_unknown=int((delivered & (reasons != KNOWN)).sum()),
        unpriced=int((~table.priced[rows]).sum()),
        from_bill=int(table.from_bill[rows].sum()),
        by_rule=int(table.by_rule[rows].sum()),
        billed_rows=len(billed_rows),
        billed_pico=_sum_money(billed),
        delivered_unbilled=int(delivered.sum()) - int(table.delivered[billed_rows].sum()),
        compared=len(compared),
        difference_pico=pico_sum(table.pico[compared]) - _sum_money(bill),
    )


def _sum_money(money: MoneyColumn) -> int:
    low = money.low
    words = (int((low >> np.uint64(32)).sum()) << 32) + int((low & np.uint64(0xFFFFFFFF)).sum())
    return (pico_sum(money.high) << 64) + words
