"""Costs of a whole table of records: arrays for statistics, exact totals for money.

Rows are grouped by provider, model and day, so that a million records need a handful of price
look-ups; the rest is integer arithmetic in pico-dollars. No total passes through a float.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.row_store import Held, blocks
from evalharness.pricing.bill_difference import likely_reason
from evalharness.pricing.book import PriceBook
from evalharness.pricing.price import PICO, Price, to_usd
from evalharness.pricing.row_costs import Finder, exact_of_all, without_details
from evalharness.pricing.usage_columns import (
    COLUMNS,
    Bools,
    Floats,
    Ints,
    Money,
    delivered,
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


class Costs(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Costs of a records table, row by row and by setting.

    Attributes:
        pico: exact cost of each row in pico-dollars, 0 where unknown.
        known: where it is known.
        guessed: numbers of the rows with an estimate instead, and
        guesses_usd: what it is, in dollars.
        settings: by setting_id.
        prices: those used.
        unpriced: the (provider, model) pairs without one.

    """

    pico: Ints
    known: Bools
    guessed: Ints
    guesses_usd: Floats
    settings: dict[str, SettingCost]
    prices: list[Price]
    unpriced: list[tuple[str | None, str | None]]

    @property
    def cost_usd(self) -> Floats:
        """The cost of each row, exact up to float64; NaN where unknown."""
        return np.where(self.known, self.pico / PICO, np.nan)

    @property
    def estimated(self) -> Bools:
        """The rows with an estimate."""
        found = np.zeros(len(self.pico), np.bool_)
        found[self.guessed] = True
        return found

    @property
    def estimate_usd(self) -> Floats:
        """The estimate of each row; NaN where there is none."""
        found = np.full(len(self.pico), np.nan)
        found[self.guessed] = self.guesses_usd
        return found

    def describe(self) -> dict[str, Any]:
        """The prices used with table, date and source, what has none, and the money by setting.

        Plain JSON data; exact dollar amounts are texts.
        """
        used = [
            {
                "provider": price.provider,
                "model": price.model,
                "table": price.table,
                "as_of": None if price.as_of is None else price.as_of.isoformat(),
                "valid_from": None if price.valid_from is None else price.valid_from.isoformat(),
                "source": price.source,
            }
            for price in self.prices
        ]
        missing = [{"provider": provider, "model": model} for provider, model in self.unpriced]
        money = {
            name: {
                key: f"{value:f}" if isinstance(value, Decimal) else value
                for key, value in msgspec.structs.asdict(setting).items()
            }
            for name, setting in self.settings.items()
        }
        return {"used": used, "unpriced": missing, "settings": money}


def cost_columns(records: pa.Table | Held, book: PriceBook, *, at: date | None = None) -> Costs:
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
    finder = Finder(book, at)
    rows = _Rows()
    for block in blocks(records, COLUMNS):
        _price(block, finder, rows)
    return rows.costs(finder)


class _Rows:
    """What is known of the rows priced so far, in few bytes each."""

    def __init__(self) -> None:
        self.setting_ids: dict[str, int] = {}
        self.setting: list[NDArray[np.int32]] = []
        self.pico: list[Ints] = []
        self.known: list[Bools] = []
        self.priced: list[Bools] = []
        self.special: list[Bools] = []  # with cached or reasoning tokens
        self.wanted: list[Bools] = []  # an estimate is
        self.rough: list[tuple[Ints, Ints]] = []  # rows, and what they cost without details
        self.billed: list[tuple[Ints, Money]] = []  # rows with a bill, and what it says
        self.count = 0

    def codes(self, records: pa.Table) -> NDArray[np.int32]:
        """The number of the setting of each record."""
        names, codes = read_codes(records, "setting_id")
        numbers = [self.setting_ids.setdefault(str(n), len(self.setting_ids)) for n in names]
        return np.array(numbers, np.int32)[codes]

    def costs(self, finder: Finder) -> Costs:
        """All rows together, and the sums of each setting."""
        setting, pico = np.concatenate(self.setting), np.concatenate(self.pico)
        known, priced, special, wanted = (
            np.concatenate(blocks)
            for blocks in (self.known, self.priced, self.special, self.wanted)
        )
        guessed, guesses = self._estimates(setting, pico, known, np.flatnonzero(wanted))
        bills = _joined(self.billed)
        settings: dict[str, SettingCost] = {}
        for name, code in self.setting_ids.items():
            rows = np.flatnonzero(setting == code)
            guess = guesses[setting[guessed] == code]
            settings[name] = _setting(rows, pico, known, guess, priced, bills, special)
        return Costs(
            pico=pico, known=known, guessed=guessed, guesses_usd=guesses, settings=settings,
            prices=finder.prices(), unpriced=finder.unpriced(),
        )  # fmt: skip

    def _estimates(
        self, setting: NDArray[np.int32], pico: Ints, known: Bools, wanted: Ints
    ) -> tuple[Ints, Floats]:
        """Numbers of the rows for which an estimate is wanted and possible, and the dollars."""
        if not len(wanted):
            return wanted, np.zeros(0)
        groups = len(self.setting_ids)
        counts = np.bincount(setting[known], minlength=groups)
        sums = np.bincount(setting[known], weights=pico[known] / PICO, minlength=groups)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        dollars = means[setting[wanted]]
        if self.rough:
            rows, costs = (np.concatenate(c) for c in zip(*self.rough, strict=True))
            place = np.minimum(np.searchsorted(wanted, rows), len(wanted) - 1)
            there = wanted[place] == rows
            dollars[place[there]] = costs[there] / PICO
        possible = ~np.isnan(dollars)
        return wanted[possible], dollars[possible]


def _price(records: pa.Table, finder: Finder, rows: _Rows) -> None:
    """Price one more block of records."""
    usage, by_price = read_usage(records), finder.by_price(records)
    pico, known = exact_of_all(records, usage, by_price)
    priced = known.copy()
    for price, members in by_price:
        priced[members] = True
        # Of the others no estimate is made.
        guessed = members[~known[members]]
        rough, rough_known = without_details(price, usage.take(guessed))
        rows.rough.append((guessed[rough_known] + rows.count, rough[rough_known]))
    rows.setting.append(rows.codes(records))
    rows.pico.append(pico)
    rows.known.append(known)
    rows.priced.append(priced)
    rows.special.append((usage.cached.value > 0) | (usage.reasoning.value > 0))
    rows.wanted.append(delivered(records) & priced & ~known)
    billed = read_money(records, "billed_usd")
    paid = np.flatnonzero(billed.known)
    rows.billed.append((paid + rows.count, billed.take(paid)))
    rows.count += len(known)


def _joined(blocks: list[tuple[Ints, Money]]) -> tuple[Ints, Money]:
    low, high, known = (np.concatenate(c) for c in zip(*(m for _, m in blocks), strict=True))
    return np.concatenate([rows for rows, _ in blocks]), Money(low, high, known)


def _setting(
    rows: Ints,
    pico: Ints,
    known: Bools,
    guesses: Floats,
    priced: Bools,
    bills: tuple[Ints, Money],
    special: Bools,
) -> SettingCost:
    """The money of one setting, given by its rows and their estimates."""
    exact = rows[known[rows]]
    paid = (
        np.flatnonzero(np.isin(bills[0], rows, assume_unique=True)) if len(bills[0]) else bills[0]
    )
    billed = bills[1].take(paid)
    compared = known[bills[0][paid]]
    both, bill = bills[0][paid[compared]], bills[1].take(paid[compared])
    guess = round(float(np.sum(guesses)) * PICO)
    difference = _sum(pico[both]) - _sum_money(bill)
    return SettingCost(
        rows=len(rows),
        known=len(exact),
        total_usd=to_usd(_sum(pico[exact])) if len(exact) else None,
        estimated=len(guesses),
        estimate_usd=to_usd(guess) if len(guesses) else None,
        unpriced=int((~priced[rows]).sum()),
        billed_rows=len(paid),
        billed_total_usd=to_usd(_sum_money(billed)) if len(paid) else None,
        compared=len(both),
        difference_usd=to_usd(difference) if len(both) else None,
        # Equal in exact arithmetic is equal, whatever floats make of it.
        difference_reason=likely_reason(pico[both] / PICO, _dollars(bill), special[both])
        if difference
        else None,
    )


def _sum(values: Ints) -> int:
    """An exact sum: the halves of a million 64-bit numbers add up without overflow."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def _sum_money(money: Money) -> int:
    low = money.low
    words = (int((low >> np.uint64(32)).sum()) << 32) + int((low & np.uint64(0xFFFFFFFF)).sum())
    return (_sum(money.high) << 64) + words


def _dollars(money: Money) -> Floats:
    return (money.high.astype(np.float64) * 2.0**64 + money.low.astype(np.float64)) / PICO
