"""The cost of HTTP attempts, for the money limit and for wasted spend.

An attempt costs what the provider billed for it, else the price of the usage it reported (that of
requests in batches, where it has a ``batch_id``); a rejected or unsent attempt without either cost
nothing. For all others the cost is unknown; known is only the worst case that was reserved for
them, if any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.pricing import picodollars
from evalharness.pricing.book import PriceBook
from evalharness.pricing.row_costs import highest_row_costs, row_costs
from evalharness.pricing.usage_columns import Bools, Ints, read_codes
from evalharness.records import Outcome

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of the attempts table that are read here.
COLUMNS = (
    "setting_id", "outcome", "status", "sent_at", "prompt_tokens", "completion_tokens",
    "total_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "billed_usd", "reserved_usd", "batch_id",
)  # fmt: skip
#: Outcomes of attempts that cost nothing unless they were billed.
UNSERVED = (Outcome.REJECTED.value, Outcome.NOT_SENT.value)


class AttemptCosts:
    """The cost of every attempt, in pico-dollars.

    Args:
        attempts: a table with :data:`COLUMNS`.
        models: setting_id → provider and model, which prices are looked up by.
        book: the prices.

    Attributes:
        pico: 0 where unknown.
        known: where it is known.
        in_doubt: attempts of unknown outcome.
        reserved: the worst case that had been reserved, 0 where nothing was. For usage that
            contradicts itself it is the higher of its readings.
        reserved_known: where there is a worst case.
    """

    def __init__(
        self,
        attempts: pa.Table,
        models: Mapping[str, tuple[str | None, str | None]],
        book: PriceBook,
    ) -> None:
        billed, is_billed = picodollars.money_column(attempts, "billed_usd")
        priced_rows = _with_model_columns(attempts, models)
        computed, is_computed = row_costs(priced_rows, book)
        unserved = _is_one_of(attempts, "outcome", UNSERVED)
        self.in_doubt: Bools = _is_one_of(attempts, "outcome", (Outcome.IN_DOUBT.value,))
        self.known: Bools = is_billed | unserved | is_computed
        priced = np.where(unserved, 0, computed)
        self.pico: Ints = np.where(is_billed, billed, priced)
        reserved, reserved_known = picodollars.money_column(attempts, "reserved_usd")
        highest, is_contradictory = highest_row_costs(priced_rows, book)
        self.reserved: Ints = np.where(is_contradictory, highest, reserved)
        self.reserved_known: Bools = reserved_known | is_contradictory


def _is_one_of(attempts: pa.Table, column: str, words: tuple[str, ...]) -> Bools:
    values, codes = read_codes(attempts, column)
    return np.array([value in words for value in values] or [False], np.bool_)[codes]


def _with_model_columns(
    attempts: pa.Table, models: Mapping[str, tuple[str | None, str | None]]
) -> pa.Table:
    """The attempts with the provider and model columns that prices are looked up by."""
    import pyarrow as pa

    ids, codes = read_codes(attempts, "setting_id")
    table: Any = attempts
    rows: Any = pa.array(codes)
    for index, column in enumerate(("provider", "model")):
        values = [models.get(name, (None, None))[index] for name in ids]
        table = table.append_column(column, pa.array(values, pa.string()).take(rows))
    return table
