"""The provider's bill compared with the computed cost, and the likely reason of a difference.

Each explanation is tested by pricing the same records again under it: the first that makes the
difference vanish, up to rounding, is given. ``docs/cost.md`` has the rules in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from evalharness.analysis.cost.cell_costs import CellCosts
from evalharness.analysis.data.encode import Bools, Ints
from evalharness.analysis.data.statuses import ERROR
from evalharness.columnar.row_store import ColumnStore
from evalharness.pricing import Price, PriceBook, picodollars
from evalharness.pricing.bill_difference import REASON_UNKNOWN, likely_reason
from evalharness.pricing.price import PICO
from evalharness.pricing.row_costs import KNOWN, OwnPrice, row_costs_at_full_price
from evalharness.pricing.usage_columns import COLUMNS

_ROUNDING = 10**6  # pico-dollars: bills are often given to the millionth of a dollar
_STALE_DAYS = 90


_FULL_PRICES: tuple[tuple[str, tuple[OwnPrice, ...]], ...] = (
    ("cached tokens were billed at the full prompt price", ("cached",)),
    ("tokens written to a cache were billed at the prompt price", ("cache_write",)),
    ("reasoning tokens were billed at the completion price", ("reasoning",)),
    (
        "cached tokens were billed at the full prompt price, and reasoning tokens at the "
        "completion price",
        ("cached", "reasoning"),
    ),
)


class SettingBill(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider billed for a setting, compared with the computed cost.

    Attributes:
        setting_id: of the setting.
        label: its name.
        billed: records with a bill.
        billed_usd: US dollars of these bills; null where nothing was billed.
        compared: records with a bill and a known cost.
        computed_minus_billed_usd: US dollars, computed minus billed, over exactly those; null where
            there are none.
        reason: the likely reason of a difference, in words; null where there is no difference.
    """

    setting_id: str
    label: str
    billed: int
    billed_usd: Decimal | None
    compared: int
    computed_minus_billed_usd: Decimal | None
    reason: str | None


class BilledRecords:
    """The records of a run that have a bill, in the frame's order, with costs under other rules.

    Attributes:
        costs: those of all records.
        positions: in the frame.
        billed: the bill, in pico-dollars.
        pico, known: the computed cost, and where it is known without the bill.
    """

    def __init__(self, cell_costs: CellCosts, book: PriceBook) -> None:
        """Read the bills of a run; ``book`` is the one its costs were computed with."""
        frame, costs = cell_costs.frame, cell_costs.costs
        self.frame = frame
        self.costs = costs
        self._book = book
        self._cost_cache: dict[tuple[str, ...], Ints] = {}
        self.positions: Ints = np.zeros(0, np.int64)
        if "billed_usd" in frame.records.column_names:
            blocks = frame.records.tables(["billed_usd"])
            bills = [picodollars.money_column(block, "billed_usd") for block in blocks]
            billed, known = (np.concatenate(parts) for parts in zip(*bills, strict=True))
            self.positions = np.flatnonzero(known[frame.rows])
            self._rows: Ints = frame.rows[self.positions]
            self.billed: Ints = billed[self._rows]
        else:
            self._rows = self.billed = self.positions
        self.pico: Ints = costs.pico[self._rows]
        self.known: Bools = costs.computed[self._rows]

    def with_cached_or_reasoning(self, bills: Ints) -> Bools:
        """Which of some billed records have cached or reasoning tokens."""
        has_tokens = np.zeros(len(bills), np.bool_)
        for name in ("cached_tokens", "reasoning_tokens"):
            has_tokens |= np.nan_to_num(self.frame.values(name)[self.positions[bills]]) > 0
        return has_tokens

    def at_full_price(self, *kinds: OwnPrice) -> Ints:
        """Costs in pico-dollars if these tokens had no price of their own; −1 where unknown."""
        if kinds not in self._cost_cache:
            costs: list[Ints] = []
            for block in self.frame.records.tables(COLUMNS):
                priced = row_costs_at_full_price(block, self._book, kinds)
                costs.append(np.where(priced.reasons == KNOWN, priced.pico, -1))
            self._cost_cache[kinds] = np.concatenate(costs)[self._rows]
        return self._cost_cache[kinds]


def by_setting(bills: BilledRecords) -> list[SettingBill]:
    """Compare bill and computed cost of each setting, as its costs have them added up."""
    frame = bills.frame
    note = _stale_note(frame.records, bills.costs.prices)
    rows: list[SettingBill] = []
    for s, setting_id in enumerate(frame.setting_ids):
        part = frame.rows_of(s)
        ends: list[int] = np.searchsorted(bills.positions, [part.start, part.stop]).tolist()
        billed: Ints = np.arange(*ends, dtype=np.int64)
        both = billed[bills.known[billed]]
        cost = bills.costs.setting(setting_id)
        reason = _reason(bills, both) if cost.difference_pico and len(both) else None
        rows.append(
            SettingBill(
                setting_id=setting_id,
                label=frame.label(s),
                billed=cost.billed_rows,
                billed_usd=cost.billed_total_usd,
                compared=cost.compared,
                computed_minus_billed_usd=cost.difference_usd,
                reason=f"{reason}; {note}" if reason and note else reason,
            )
        )
    return rows


def _reason(bills: BilledRecords, rows: Ints) -> str:
    """Why the bill differs on these records, in words."""
    gap = bills.billed[rows] - bills.pico[rows]
    failed = bills.frame.status[bills.positions[rows]] == ERROR
    if np.any(failed) and not np.any(gap[~failed]):
        return "only failed calls differ: the provider bills them otherwise than by their tokens"
    for text, other in _explanations(bills, rows):
        if np.all(other >= 0) and np.all(np.abs(bills.billed[rows] - other) <= _ROUNDING):
            return text
    computed, billed = bills.pico[rows] / PICO, bills.billed[rows] / PICO
    guess = likely_reason(computed, billed, bills.with_cached_or_reasoning(rows))
    return guess or REASON_UNKNOWN


def _explanations(bills: BilledRecords, rows: Ints) -> Iterator[tuple[str, Ints]]:
    """Explanations, with the costs under them, that change any cost."""
    computed = bills.pico[rows]
    for text, kinds in _FULL_PRICES:
        other = bills.at_full_price(*kinds)[rows]
        # What changes no cost by more than rounding explains nothing.
        if np.any(np.abs(other - computed) > _ROUNDING):
            yield text, other


def _stale_note(records: ColumnStore, prices: Sequence[Price]) -> str | None:
    """A note when a price table is much older than the run."""
    newest = _newest_day(records)
    days = [price.as_of for price in prices if price.as_of is not None]
    if newest is None or not days or (newest - min(days)).days <= _STALE_DAYS:
        return None
    return f"the price table is of {min(days)}, {(newest - min(days)).days} days before the run"


def _newest_day(records: ColumnStore) -> date | None:
    import pyarrow.compute

    if "sent_at" not in records.column_names:
        return None
    compute: Any = pyarrow.compute
    newest = compute.cast(compute.max(records["sent_at"]), "date32").as_py()
    return newest if isinstance(newest, date) else None
