"""What batches saved: the same records priced as if each request had been sent alone."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np

from evalharness.analysis.data.batches import in_batch
from evalharness.analysis.data.encode import Bools, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import CostColumns
from evalharness.pricing.picodollars import pico_sum
from evalharness.pricing.price import to_usd
from evalharness.pricing.row_costs import row_costs_as_live
from evalharness.pricing.usage_columns import COLUMNS, read_money


class BatchSavings(msgspec.Struct, frozen=True, kw_only=True):
    """The records of requests in batches: what they cost, and what they would have cost alone.

    Attributes:
        records: how many there are.
        compared: those of them with both costs; the dollars below are over exactly these.
        unknown: the others.
        batch_usd: US dollars that they cost; null where none is compared.
        live_usd: US dollars that they would have cost alone, by the prices of the same day; null
            where none is compared.
        saved_usd: the difference, below zero where alone would have been cheaper; null where none
            is compared.
    """

    records: int
    compared: int
    unknown: int
    batch_usd: Decimal | None
    live_usd: Decimal | None
    saved_usd: Decimal | None


def batch_savings(frame: RunFrame, costs: CostColumns, book: PriceBook) -> BatchSavings | None:
    """What batches saved; None where no record of the frame was in one.

    Args:
        frame: the records.
        costs: of ``frame.records``, computed with ``book``.
        book: the prices.
    """
    rows = frame.rows[in_batch(frame)]
    if not len(rows):
        return None
    live, live_known = _as_live(frame, book)
    compared = rows[(costs.known & live_known)[rows]]
    paid, alone = pico_sum(costs.pico[compared]), pico_sum(live[compared])
    is_known = len(compared) > 0
    return BatchSavings(
        records=len(rows),
        compared=len(compared),
        unknown=len(rows) - len(compared),
        batch_usd=to_usd(paid) if is_known else None,
        live_usd=to_usd(alone) if is_known else None,
        saved_usd=to_usd(alone - paid) if is_known else None,
    )


def _as_live(frame: RunFrame, book: PriceBook) -> tuple[Ints, Bools]:
    """What each record would cost if it had been sent alone, and where a price says so."""
    blocks: list[tuple[Ints, Bools]] = []
    for block in frame.records.tables(COLUMNS):
        pico, known = row_costs_as_live(block, book)
        is_imported = read_money(block, "cost_usd_imported").known
        blocks.append((pico, known & ~is_imported))
    live, known = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return live, known
