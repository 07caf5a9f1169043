"""The bill beside the computed cost: the difference, and what likely makes it.

Every explanation is tried by pricing the same records again under it: one that makes the
difference vanish, up to rounding, is named. The rules in order are in ``docs/cost.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np

from evalharness.analysis.cost.cell_costs import Spending
from evalharness.analysis.data.encode import Bools, Ints
from evalharness.analysis.data.statuses import ERROR
from evalharness.columnar.row_store import blocks
from evalharness.pricing import Price, PriceBook, picodollars
from evalharness.pricing.bill_difference import UNEXPLAINED, likely_reason
from evalharness.pricing.price import PICO
from evalharness.pricing.row_costs import exact_costs
from evalharness.pricing.usage_columns import COLUMNS

_ROUNDING = 10**6  # pico-dollars: bills are often given to the millionth of a dollar
_STALE_DAYS = 90


class Bills:
    """The records of a run that have a bill, in the frame's order, with costs under other rules.

    Attributes:
        places: where they stand in the frame's order.
        billed: what the bill says, in pico-dollars.
        pico, known: what they cost by the prices, and where that is known.
    """

    def __init__(self, spending: Spending, book: PriceBook) -> None:
        """Read the bills of a run; ``book`` is the one its costs were computed with."""
        frame, costs = spending.frame, spending.costs
        self.frame = frame
        self._book = book
        self._other: dict[tuple[str, ...], Ints] = {}
        self.places: Ints = np.zeros(0, np.int64)
        if "billed_usd" in frame.records.column_names:
            billed, known = picodollars.money_column(frame.records, "billed_usd")
            self.places = np.flatnonzero(known[frame.rows])
            self._rows: Ints = frame.rows[self.places]
            self.billed: Ints = billed[self._rows]
        else:
            self._rows = self.billed = self.places
        self.pico: Ints = costs.pico[self._rows]
        self.known: Bools = costs.known[self._rows]

    def special(self, bills: Ints) -> Bools:
        """Those of some bills whose records have cached or reasoning tokens."""
        found = np.zeros(len(bills), np.bool_)
        for name in ("cached_tokens", "reasoning_tokens"):
            found |= np.nan_to_num(self.frame.values(name)[self.places[bills]]) > 0
        return found

    def without(self, *columns: str) -> Ints:
        """Costs in pico-dollars had these token counts been zero; −1 where unknown."""
        if columns not in self._other:
            import pyarrow as pa

            found: list[Ints] = []
            for block in blocks(self.frame.records, COLUMNS):
                table: Any = block
                nothing = pa.array(np.zeros(table.num_rows, np.int64))
                for column in columns:
                    if column in table.column_names:
                        table = table.drop_columns([column])
                    table = table.append_column(column, nothing)
                pico, known = exact_costs(table, self._book)
                found.append(np.where(known, pico, -1))
            self._other[columns] = np.concatenate(found)[self._rows]
        return self._other[columns]


def by_setting(bills: Bills, prices: Sequence[Price]) -> list[dict[str, Any]]:
    """Compare bill and computation in every setting.

    Args:
        bills: the run.
        prices: the prices its costs were computed with.

    Returns:
        One a setting: ``billed_usd`` over ``billed`` records; ``compared`` records with both
        figures, over exactly which ``computed_minus_billed_usd`` is taken; ``reason`` in words.
        Dollars are Decimals; null where nothing was billed.
    """
    frame = bills.frame
    note = _stale(frame.records, prices)
    out: list[dict[str, Any]] = []
    for s in range(len(frame.setting_ids)):
        part = frame.rows_of(s)
        ends: list[int] = np.searchsorted(bills.places, [part.start, part.stop]).tolist()
        paid: Ints = np.arange(*ends, dtype=np.int64)
        both = paid[bills.known[paid]]
        computed = picodollars.total(bills.pico[both])
        difference = computed - picodollars.total(bills.billed[both])
        reason = _reason(bills, both) if difference else None
        out.append(
            {
                "setting_id": frame.setting_ids[s],
                "label": frame.label(s),
                "billed": len(paid),
                "billed_usd": picodollars.total(bills.billed[paid]) if len(paid) else None,
                "compared": len(both),
                "computed_minus_billed_usd": difference if len(both) else None,
                "reason": f"{reason}; {note}" if reason and note else reason,
            }
        )
    return out


def _reason(bills: Bills, rows: Ints) -> str:
    """Why the bill differs on these records, in words."""
    gap = bills.billed[rows] - bills.pico[rows]
    failed = bills.frame.status[bills.places[rows]] == ERROR
    if np.any(failed) and not np.any(gap[~failed]):
        return "only failed calls differ: the provider bills them otherwise than by their tokens"
    for text, other in _explanations(bills, rows):
        if np.all(other >= 0) and np.all(np.abs(bills.billed[rows] - other) <= _ROUNDING):
            return text
    computed, billed = bills.pico[rows] / PICO, bills.billed[rows] / PICO
    guess = likely_reason(computed, billed, bills.special(rows))
    return guess or UNEXPLAINED


def _explanations(bills: Bills, rows: Ints) -> Iterator[tuple[str, Ints]]:
    """Explanations with the costs they would make, where they would change anything."""
    usual = bills.pico[rows]
    for text, columns in (
        ("cached tokens were billed at the full prompt price", ("cached_tokens",)),
        ("reasoning tokens were billed at the completion price", ("reasoning_tokens",)),
        (
            "cached tokens were billed at the full prompt price, and reasoning tokens at the "
            "completion price",
            ("cached_tokens", "reasoning_tokens"),
        ),
    ):
        other = bills.without(*columns)[rows]
        # What moves no cost by more than a rounding explains none either.
        if np.any(np.abs(other - usual) > _ROUNDING):
            yield text, other


def _stale(records: Any, prices: Sequence[Price]) -> str | None:
    """Say so when a price table is much older than the run."""
    newest = _newest_day(records)
    days = [price.as_of for price in prices if price.as_of is not None]
    if newest is None or not days or (newest - min(days)).days <= _STALE_DAYS:
        return None
    return f"the price table is of {min(days)}, {(newest - min(days)).days} days before the run"


def _newest_day(records: Any) -> date | None:
    import pyarrow.compute

    if "sent_at" not in records.column_names or not records.num_rows:
        return None
    compute: Any = pyarrow.compute
    newest = compute.cast(compute.max(records["sent_at"]), "date32").as_py()
    return newest if isinstance(newest, date) else None
