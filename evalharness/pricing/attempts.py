"""What HTTP attempts cost, whatever became of them: for the money limit, and for waste.

What an attempt cost is what the provider says it billed, else the price of the usage it reported;
a rejected or unsent attempt without either cost nothing. Everything else is unknown, and stands
with what was set aside for it at worst, if anything was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.pricing import picodollars
from evalharness.pricing.book import PriceBook
from evalharness.pricing.row_costs import exact_costs
from evalharness.pricing.usage_columns import Bools, Ints, read_codes
from evalharness.records import Outcome

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of the attempts table that are read here.
COLUMNS = (
    "setting_id", "outcome", "status", "sent_at", "prompt_tokens", "completion_tokens",
    "cached_tokens", "reasoning_tokens", "billed_usd", "reserved_usd",
)  # fmt: skip
_FREE = (Outcome.REJECTED.value, Outcome.NOT_SENT.value)


class AttemptCosts:
    """What every attempt cost, in pico-dollars.

    Args:
        attempts: a table with :data:`COLUMNS`.
        named: setting_id → provider and model, which prices are looked up by.
        book: the prices.

    Attributes:
        pico: 0 where unknown.
        known: where it is known.
        in_doubt: attempts of unknown outcome.
        reserved: what had been set aside, 0 where nothing was.
        reserved_known: where something was.
    """

    def __init__(
        self,
        attempts: pa.Table,
        named: Mapping[str, tuple[str | None, str | None]],
        book: PriceBook,
    ) -> None:
        billed, is_billed = picodollars.money_column(attempts, "billed_usd")
        computed, is_computed = exact_costs(_with_names(attempts, named), book)
        unserved = _is_one_of(attempts, "outcome", _FREE)
        self.in_doubt: Bools = _is_one_of(attempts, "outcome", (Outcome.IN_DOUBT.value,))
        self.known: Bools = is_billed | unserved | is_computed
        priced = np.where(unserved, 0, computed)
        self.pico: Ints = np.where(is_billed, billed, priced)
        self.reserved, self.reserved_known = picodollars.money_column(attempts, "reserved_usd")


def _is_one_of(attempts: pa.Table, column: str, wanted: tuple[str, ...]) -> Bools:
    values, codes = read_codes(attempts, column)
    return np.array([value in wanted for value in values] or [False], np.bool_)[codes]


def _with_names(attempts: pa.Table, named: Mapping[str, tuple[str | None, str | None]]) -> pa.Table:
    """The attempts with the provider and model columns that prices are looked up by."""
    import pyarrow as pa

    ids, codes = read_codes(attempts, "setting_id")
    table: Any = attempts
    rows: Any = pa.array(codes)
    for place, column in enumerate(("provider", "model")):
        values = [named.get(name, (None, None))[place] for name in ids]
        table = table.append_column(column, pa.array(values, pa.string()).take(rows))
    return table
