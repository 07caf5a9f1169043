"""Costs of the records added up by cell, in whole pico-dollars.

Totals are over the records whose cost is known; estimates are kept apart and are in no total.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis.cost.usage import TOKENS
from evalharness.analysis.data.cell_sums import CellSums, MoneySums
from evalharness.analysis.data.encode import Bools, Floats, Ints, take
from evalharness.analysis.data.frame import RunFrame
from evalharness.columnar.row_store import ColumnStore
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import CostColumns
from evalharness.pricing.cost_sum import CostSum
from evalharness.pricing.picodollars import pico_sum
from evalharness.pricing.row_costs import KNOWN, reason_rows, row_costs_at_full_price
from evalharness.pricing.usage_columns import COLUMNS


class _CacheSums(NamedTuple):
    """Sums by cell: see :class:`CellCosts`."""

    cached: tuple[Ints, Ints]
    saved: MoneySums
    priced: Ints


class CellCosts(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """The costs of a frame's records, added up by cell. :meth:`of` makes it.

    Attributes:
        frame: the records.
        costs: what they cost, in the order of ``frame.records``.
        trials: records of each cell; the arrays below have one entry a cell, too, except
            ``estimated``, ``estimates``.
        known: records with a known cost.
        from_bill: those of them whose cost is the provider's bill, for want of a price.
        cost: the sum of the known costs.
        estimated: records with an estimated cost, by position in the frame.
        estimates: the estimates of these, in pico-dollars.
        unknown: records of unknown cost, by reason; reasons of no record are absent.
        tokens: sum and number of the known counts, by name.
        cached: sums of prompt and cached tokens over records with both counts.
        saved: what cached tokens saved against the full prompt price.
        priced: how many records ``saved`` is over.
        correct: records with a known cost and a score of 1.
        scored: whether the cell has a scored record, so that its cost could buy a correct answer.
        reliable: whether all of at least two repeats are correct.
    """

    frame: RunFrame
    costs: CostColumns
    trials: Ints
    known: Ints
    from_bill: Ints
    cost: MoneySums
    estimated: Ints
    estimates: Ints
    unknown: dict[str, Ints]
    tokens: dict[str, tuple[Ints, Ints]]
    cached: tuple[Ints, Ints]
    saved: MoneySums
    priced: Ints
    correct: Ints
    scored: Bools
    reliable: Bools

    @classmethod
    def of(cls, frame: RunFrame, costs: CostColumns, book: PriceBook) -> CellCosts:
        """Add up the costs of a frame's records; ``costs`` are those of ``frame.records``."""
        cells = CellSums(frame)
        pico, reasons = take(costs.pico, frame.rows), take(costs.reasons, frame.rows)
        known = reasons == KNOWN
        estimated, estimates = _estimates(frame, costs)
        tokens = {name: _tokens(cells, frame.values(name)) for name in TOKENS}
        score = next(iter(frame.scores.values()), None)
        right = np.zeros(len(known), np.bool_) if score is None else score >= 1.0
        scored = np.zeros(len(known), np.bool_) if score is None else ~np.isnan(score)
        trials = cells.sums(np.ones(len(known), np.bool_))
        return cls(
            frame=frame,
            costs=costs,
            trials=trials,
            known=cells.sums(known),
            from_bill=cells.sums(take(costs.from_bill, frame.rows)),
            cost=cells.money(pico),
            estimated=estimated,
            estimates=estimates,
            unknown={name: cells.sums(rows) for name, rows in reason_rows(reasons)},
            tokens=tokens,
            **_cache(frame, cells, pico, known, book)._asdict(),
            correct=cells.sums(right & known),
            scored=cells.sums(scored) > 0,
            reliable=(trials >= 2) & (cells.sums(right) == trials) & (trials > 0),
        )

    @cached_property
    def cell_matrix(self) -> Ints:
        """The numbers of all cells: prompts × settings."""
        return self.frame.matrix(np.arange(self.frame.cells))

    def sum_of(self, cells: Ints) -> CostSum:
        """The cost of the records of some cells, each given once."""
        estimates = self.estimates[np.isin(self.cell_of_estimate, cells)]
        unknown = {name: int(counts[cells].sum()) for name, counts in self.unknown.items()}
        return CostSum(
            known=int(self.known[cells].sum()),
            pico=self.cost.total(cells),
            from_bill=int(self.from_bill[cells].sum()),
            unknown_reasons={name: n for name, n in unknown.items() if n},
            estimated=len(estimates),
            estimate_pico=pico_sum(estimates),
        )

    @cached_property
    def cell_of_estimate(self) -> Ints:
        """The cell of each record with an estimate."""
        return self.frame.cell[self.estimated]


def _estimates(frame: RunFrame, costs: CostColumns) -> tuple[Ints, Ints]:
    """Positions of the estimated records in the frame, and the estimates in pico-dollars."""
    if not len(costs.estimated_rows):
        return costs.estimated_rows, costs.estimated_rows_pico
    estimates = np.full(len(costs.pico), -1, np.int64)
    estimates[costs.estimated_rows] = costs.estimated_rows_pico
    estimates = take(estimates, frame.rows)
    positions = np.flatnonzero(estimates >= 0)
    return positions, estimates[positions]


def _tokens(cells: CellSums, counts: Floats) -> tuple[Ints, Ints]:
    known = ~np.isnan(counts)
    return cells.sums(np.where(known, counts, 0.0).astype(np.int64)), cells.sums(known)


def _cache(
    frame: RunFrame, cells: CellSums, pico: Ints, known: Bools, book: PriceBook
) -> _CacheSums:
    """Tokens read from a cache, and what that saved."""
    full, full_known, billed_prompts = _without_cache(frame.records, book)
    prompt, cached = frame.values("prompt_tokens"), frame.values("cached_tokens")
    both = ~np.isnan(prompt) & ~np.isnan(cached)
    of_prompts = cells.sums(np.where(both, take(billed_prompts, frame.rows), 0))
    of_cache = cells.sums(np.where(both, cached, 0.0).astype(np.int64))
    del prompt, cached, billed_prompts
    priced = both & known & take(full_known, frame.rows)
    saved = np.where(priced, np.maximum(take(full, frame.rows) - pico, 0), 0)
    return _CacheSums((of_prompts, of_cache), cells.money(saved), cells.sums(priced))


def _without_cache(records: ColumnStore, book: PriceBook) -> tuple[Ints, Bools, Ints]:
    """What each record would cost at the full prompt price, where that is known, prompt tokens."""
    blocks: list[tuple[Ints, Bools, Ints]] = []
    for block in records.tables(COLUMNS):
        costs = row_costs_at_full_price(block, book, ("cached",))
        known = costs.reasons == KNOWN
        if "cost_usd_imported" in block.column_names:
            known &= np.asarray(block["cost_usd_imported"].is_null().to_numpy(), dtype=np.bool_)
        blocks.append((costs.pico, known, costs.prompt_tokens))
    pico, known, prompts = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return pico, known, prompts
