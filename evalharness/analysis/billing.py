"""The bill beside the computed cost: the difference, and what likely makes it.

Every explanation is tried by pricing the same records again under it: one that makes the
difference vanish, up to rounding, is named. The rules in order are in ``docs/cost.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.analysis.encode import Bools, Ints
from evalharness.analysis.loading import ERROR
from evalharness.analysis.spending import Spending
from evalharness.pricing import Price, PriceBook, picodollars
from evalharness.pricing.columns import cost_columns
from evalharness.pricing.difference import UNEXPLAINED, likely_reason
from evalharness.pricing.price import PICO

if TYPE_CHECKING:
    import pyarrow as pa

_ROUNDING = 10**6  # pico-dollars: bills are often given to the millionth of a dollar
_STALE_DAYS = 90


class Bills:
    """Bills and re-priced costs of a run's records, in the frame's order."""

    def __init__(self, spending: Spending, book: PriceBook) -> None:
        """Read the bills of a run; ``book`` is the one its costs were computed with."""
        frame = spending.frame
        billed, known = picodollars.money_column(frame.records, "billed_usd")
        self.spending = spending
        self.billed: Ints = billed[frame.rows]
        self.known: Bools = known[frame.rows]
        self._book = book
        self._other: dict[tuple[str, ...], Ints] = {}

    def without(self, *columns: str) -> Ints:
        """Costs in pico-dollars had these token counts been zero; −1 where unknown."""
        if columns not in self._other:
            import pyarrow as pa

            frame = self.spending.frame
            table: Any = frame.records
            nothing = pa.array(np.zeros(table.num_rows, np.int64))
            for column in columns:
                if column in table.column_names:
                    table = table.drop_columns([column])
                table = table.append_column(column, nothing)
            cost = cost_columns(table, self._book).cost_usd
            pico = np.where(np.isfinite(cost), picodollars.from_usd(cost), -1)
            self._other[columns] = pico[frame.rows]
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
    frame = bills.spending.frame
    note = _stale(frame.records, prices)
    out: list[dict[str, Any]] = []
    for s in range(len(frame.setting_ids)):
        part = frame.rows_of(s)
        rows: Ints = np.arange(part.start, part.stop, dtype=np.int64)
        paid = rows[bills.known[rows]]
        both = paid[bills.spending.known[paid]]
        computed = picodollars.total(bills.spending.pico[both])
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
    gap = bills.billed[rows] - bills.spending.pico[rows]
    failed = bills.spending.frame.status[rows] == ERROR
    if np.any(failed) and not np.any(gap[~failed]):
        return "only failed calls differ: the provider bills them otherwise than by their tokens"
    for text, other in _explanations(bills, rows):
        if np.all(other >= 0) and np.all(np.abs(bills.billed[rows] - other) <= _ROUNDING):
            return text
    special = np.zeros(len(rows), np.bool_)
    for name in ("cached_tokens", "reasoning_tokens"):
        special |= np.nan_to_num(bills.spending.tokens[name][rows]) > 0
    guess = likely_reason(bills.spending.pico[rows] / PICO, bills.billed[rows] / PICO, special)
    return guess or UNEXPLAINED


def _explanations(bills: Bills, rows: Ints) -> Iterator[tuple[str, Ints]]:
    """Explanations with the costs they would make, where they would change anything."""
    usual = bills.spending.pico[rows]
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


def _stale(records: pa.Table, prices: Sequence[Price]) -> str | None:
    """Say so when a price table is much older than the run."""
    newest = _newest_day(records)
    days = [price.as_of for price in prices if price.as_of is not None]
    if newest is None or not days or (newest - min(days)).days <= _STALE_DAYS:
        return None
    return f"the price table is of {min(days)}, {(newest - min(days)).days} days before the run"


def _newest_day(records: pa.Table) -> date | None:
    import pyarrow.compute

    if "sent_at" not in records.column_names or not records.num_rows:
        return None
    compute: Any = pyarrow.compute
    newest = compute.cast(compute.max(records["sent_at"]), "date32").as_py()
    return newest if isinstance(newest, date) else None
