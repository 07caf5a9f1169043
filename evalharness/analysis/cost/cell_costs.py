"""Costs of the records by cell, and per correct answer.

Totals are exact Decimals over the records whose cost is known; estimates are given apart and are in
no total. A *correct* answer has a score of 1; a *reliably correct* one is correct in all repeats of
its prompt under its setting, an error being no correct repeat. The unit of every interval is the
prompt (or the dataset's cluster).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.cell_sums import CellSums, MoneySums
from evalharness.analysis.data.encode import Bools, Floats, Ints, take
from evalharness.analysis.data.frame import RunFrame
from evalharness.columnar.row_store import iter_tables
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import CostColumns
from evalharness.pricing.cost_sum import CostSum
from evalharness.pricing.picodollars import pico_sum
from evalharness.pricing.price import PICO, to_usd
from evalharness.pricing.row_costs import KNOWN, reason_rows, row_costs
from evalharness.pricing.usage_columns import COLUMNS

TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")


class CellCosts(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """The costs of a frame's records, added up by cell. :meth:`of` makes it.

    Attributes:
        frame: the records.
        costs: what they cost, in the order of ``frame.records``.
        trials: records of each cell; the arrays below have one entry a cell, too, except
            ``estimated``, ``estimates``.
        known: records with a known cost.
        cost: the sum of the known costs.
        lowest_usd, highest_usd: the lowest and the highest known cost.
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
    cost: MoneySums
    lowest_usd: Floats
    highest_usd: Floats
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
        dollars = np.where(known, pico / PICO, np.nan)
        lowest, highest = cells.lowest(dollars), cells.highest(dollars)
        del dollars
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
            cost=cells.money(pico),
            lowest_usd=lowest,
            highest_usd=highest,
            estimated=estimated,
            estimates=estimates,
            unknown={name: cells.sums(rows) for name, rows in reason_rows(reasons)},
            tokens=tokens,
            **_cache(frame, cells, pico, known, book),
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
) -> dict[str, Any]:
    """Tokens read from a cache, and what that saved."""
    prompt, cached = frame.values("prompt_tokens"), frame.values("cached_tokens")
    both = ~np.isnan(prompt) & ~np.isnan(cached)
    read = tuple(
        cells.sums(np.where(both, counts, 0.0).astype(np.int64)) for counts in (prompt, cached)
    )
    del prompt, cached
    full, full_known = _without_cache(frame.records, book)
    priced = both & known & take(full_known, frame.rows)
    saved = np.where(priced, np.maximum(take(full, frame.rows) - pico, 0), 0)
    return {"cached": read, "saved": cells.money(saved), "priced": cells.sums(priced)}


def _without_cache(records: Any, book: PriceBook) -> tuple[Ints, Bools]:
    """What each record would cost if nothing were cached, and where that is known."""
    import pyarrow as pa

    blocks: list[tuple[Ints, Bools]] = []
    for block in iter_tables(records, COLUMNS):
        dropped = [n for n in ("cached_tokens", "cost_usd_imported") if n in block.column_names]
        zeros = pa.array(np.zeros(block.num_rows, np.int64))
        table: Any = block.drop_columns(dropped).append_column("cached_tokens", zeros)
        pico, known = row_costs(table, book)
        if "cost_usd_imported" in block.column_names:
            known &= np.asarray(block["cost_usd_imported"].is_null().to_numpy(), dtype=np.bool_)
        blocks.append((pico, known))
    pico, known = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return pico, known


def describe_cells(costs: CellCosts, cells: Ints, money: CostSum | None = None) -> dict[str, Any]:
    """Tokens and money of the records of some cells.

    Args:
        costs: the run.
        cells: their numbers, each once.
        money: what their records cost, where it is added up already.

    Returns:
        ``trials``; ``tokens`` with ``total``, ``mean`` and ``n`` each; ``total_usd`` (Decimal) of
        the ``known`` records; ``unknown``, all others, by reason in ``unknown_reasons``;
        ``estimated``, those of the unknown with an estimate, ``estimate_usd`` (Decimal), which is
        in no total; ``mean_usd`` per request with ``ci95``; ``per_1k_requests``; ``correct``
        answers and ``per_correct_usd``; ``reliably_correct`` and ``per_reliably_correct_usd``;
        ``cache`` with ``share`` of prompt tokens and ``saved_usd`` (Decimal). Null where nothing is
        known.
    """
    money = costs.sum_of(cells) if money is None else money
    correct = _cost_per_answer(costs, cells[costs.scored[cells]], costs.correct)
    repeated = cells[costs.scored[cells] & (costs.trials[cells] >= 2)]
    reliable = np.where(costs.reliable, costs.known, 0)
    reliably = _cost_per_answer(costs, repeated, reliable)
    return {
        "trials": int(costs.trials[cells].sum()),
        "tokens": {name: _token_sums(*sums, cells) for name, sums in costs.tokens.items()},
        "total_usd": money.total_usd,
        "known": money.known,
        "estimated": money.estimated,
        "estimate_usd": money.estimate_usd,
        "unknown": money.unknown,
        "unknown_reasons": money.unknown_reasons,
        "mean_usd": money.mean_usd,
        "ci95": _mean_interval(costs, cells) if money.known else None,
        "per_1k_requests": money.per_1k_usd,
        "correct": correct[0],
        "per_correct_usd": correct[1],
        "reliably_correct": reliably[0],
        "per_reliably_correct_usd": reliably[1],
        "cache": _cache_facts(costs, cells),
    }


def _token_sums(total: Ints, known: Ints, cells: Ints) -> dict[str, Any]:
    n, tokens = int(known[cells].sum()), int(total[cells].sum())
    if not n:
        return {"total": None, "mean": None, "n": 0}
    return {"total": tokens, "mean": tokens / n, "n": n}


def _mean_interval(costs: CellCosts, cells: Ints) -> list[float] | None:
    """The interval of the mean cost of a request; prompts (or clusters) are resampled whole."""
    frame = costs.frame
    unit = cells % len(frame.prompt_ids)
    unit = unit if frame.clusters is None else frame.clusters[unit]
    sizes: Floats = np.bincount(unit, costs.known[cells]).astype(np.float64)
    sums: Floats = np.bincount(unit, costs.cost.per_cell()[cells] / PICO).astype(np.float64)
    with_cost = sizes > 0
    ends = json_values.interval(
        stats.ratio_ci(
            sums[with_cost],
            sizes[with_cost],
            lowest=float(costs.lowest_usd[cells].min()),
            highest=float(costs.highest_usd[cells].max()),
        )
    )
    if ends is not None:
        ends[0] = max(0.0, ends[0])  # a t interval may reach below 0, but no request costs less
    return ends


def _cost_per_answer(
    costs: CellCosts, cells: Ints, answers: Ints
) -> tuple[int | None, float | None]:
    """Number of such answers in some cells, and dollars for each; None where no cost is known."""
    if not costs.known[cells].any():
        return None, None
    count = int(answers[cells].sum())
    return count, float(to_usd(costs.cost.total(cells)) / count) if count else None


def _cache_facts(costs: CellCosts, cells: Ints) -> dict[str, Any]:
    read, cached = (int(counts[cells].sum()) for counts in costs.cached)
    priced = int(costs.priced[cells].sum())
    return {
        "share": cached / read if read else None,
        "saved_usd": to_usd(costs.saved.total(cells)) if priced else None,
    }
