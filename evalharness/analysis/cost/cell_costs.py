"""What some records cost, and what that bought.

Totals are exact Decimals over the records whose cost is known; estimates stand beside and are in
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
from evalharness.analysis.data.cell_sums import Amounts, PerCell
from evalharness.analysis.data.encode import Bools, Floats, Ints, picked
from evalharness.analysis.data.frame import Frame
from evalharness.columnar.row_store import blocks
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import Costs
from evalharness.pricing.price import PICO, to_usd
from evalharness.pricing.row_costs import exact_costs
from evalharness.pricing.usage_columns import COLUMNS

TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")


class Spending(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """The money of a frame's records, added up by cell. Build it with :meth:`of`.

    Attributes:
        frame: the records.
        costs: what they cost, in the order of ``frame.records``.
        trials: records of each cell; the numbers below have one entry a cell, too.
        known: those whose cost is known; the sum of these is
        paid: and
        least_usd, most_usd: the lowest and the highest.
        guessed: records with an estimate instead, by their places in the frame's order;
        guesses_usd: what it is.
        tokens: sum and number of the known counts, by name.
        cached: sums of prompt and cached tokens over records with both counts.
        saved: what cached tokens saved against the full prompt price, over
        priced: so many records for which that is known.
        correct: records whose cost is known, with a score of 1.
        judged: cells with a scored record: money that could buy a correct answer.
        reliable: cells where every one of at least two repeats is correct.
    """

    frame: Frame
    costs: Costs
    trials: Ints
    known: Ints
    paid: Amounts
    least_usd: Floats
    most_usd: Floats
    guessed: Ints
    guesses_usd: Floats
    tokens: dict[str, tuple[Ints, Ints]]
    cached: tuple[Ints, Ints]
    saved: Amounts
    priced: Ints
    correct: Ints
    judged: Bools
    reliable: Bools

    @classmethod
    def of(cls, frame: Frame, costs: Costs, book: PriceBook) -> Spending:
        """Add up the costs of a frame's records; ``costs`` are those of ``frame.records``."""
        cells = PerCell(frame)
        pico, known = picked(costs.pico, frame.rows), picked(costs.known, frame.rows)
        dollars = np.where(known, pico / PICO, np.nan)
        least, most = cells.lowest(dollars), cells.highest(dollars)
        del dollars
        guessed, guesses = _guesses(frame, costs)
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
            paid=cells.amounts(pico),
            least_usd=least,
            most_usd=most,
            guessed=guessed,
            guesses_usd=guesses,
            tokens=tokens,
            **_cache(frame, cells, pico, known, book),
            correct=cells.sums(right & known),
            judged=cells.sums(scored) > 0,
            reliable=(trials >= 2) & (cells.sums(right) == trials) & (trials > 0),
        )

    @cached_property
    def every_cell(self) -> Ints:
        """The numbers of all cells: prompts × settings."""
        return self.frame.matrix(np.arange(self.frame.cells))

    @cached_property
    def cell_of_guess(self) -> Ints:
        """The cell of each record with an estimate."""
        return self.frame.cell[self.guessed]


def _guesses(frame: Frame, costs: Costs) -> tuple[Ints, Floats]:
    """Estimates in the frame's order."""
    if not len(costs.guessed):
        return costs.guessed, costs.guesses_usd
    dollars = picked(costs.estimate_usd, frame.rows)
    places = np.flatnonzero(np.isfinite(dollars))
    return places, dollars[places]


def _tokens(cells: PerCell, counts: Floats) -> tuple[Ints, Ints]:
    known = ~np.isnan(counts)
    return cells.sums(np.where(known, counts, 0.0).astype(np.int64)), cells.sums(known)


def _cache(
    frame: Frame, cells: PerCell, pico: Ints, known: Bools, book: PriceBook
) -> dict[str, Any]:
    """What was read from a cache, and what that saved."""
    prompt, cached = frame.values("prompt_tokens"), frame.values("cached_tokens")
    both = ~np.isnan(prompt) & ~np.isnan(cached)
    read = tuple(
        cells.sums(np.where(both, counts, 0.0).astype(np.int64)) for counts in (prompt, cached)
    )
    del prompt, cached
    full, full_known = _without_cache(frame.records, book)
    priced = both & known & picked(full_known, frame.rows)
    saved = np.where(priced, np.maximum(picked(full, frame.rows) - pico, 0), 0)
    return {"cached": read, "saved": cells.amounts(saved), "priced": cells.sums(priced)}


def _without_cache(records: Any, book: PriceBook) -> tuple[Ints, Bools]:
    """What each record would have cost had nothing been cached."""
    import pyarrow as pa

    found: list[tuple[Ints, Bools]] = []
    for block in blocks(records, COLUMNS):
        dropped = [n for n in ("cached_tokens", "cost_usd_imported") if n in block.column_names]
        nothing = pa.array(np.zeros(block.num_rows, np.int64))
        bare: Any = block.drop_columns(dropped)
        whole, known = exact_costs(bare.append_column("cached_tokens", nothing), book)
        if "cost_usd_imported" in block.column_names:
            known &= np.asarray(block["cost_usd_imported"].is_null().to_numpy(), dtype=np.bool_)
        found.append((whole, known))
    whole, known = (np.concatenate(one) for one in zip(*found, strict=True))
    return whole, known


def describe(spending: Spending, cells: Ints) -> dict[str, Any]:
    """Tokens and money of the records of some cells.

    Args:
        spending: the run.
        cells: their numbers, each once.

    Returns:
        ``trials``; ``tokens`` with ``total``, ``mean`` and ``n`` each; ``total_usd`` (Decimal) of
        the ``known`` records; ``estimated`` further ones with ``estimate_usd``; ``unknown``, the
        rest; ``mean_usd`` per request with ``ci95``; ``per_1k_requests``; ``correct`` answers and
        ``per_correct_usd``; ``reliably_correct`` and ``per_reliably_correct_usd``; ``cache`` with
        ``share`` of prompt tokens and ``saved_usd`` (Decimal). Null where nothing is known.
    """
    trials, known = int(spending.trials[cells].sum()), int(spending.known[cells].sum())
    guesses = spending.guesses_usd[np.isin(spending.cell_of_guess, cells)]
    mean, ends = _mean(spending, cells, known)
    correct = _bought(spending, cells[spending.judged[cells]], spending.correct)
    repeated = cells[spending.judged[cells] & (spending.trials[cells] >= 2)]
    reliable = np.where(spending.reliable, spending.known, 0)
    reliably = _bought(spending, repeated, reliable)
    return {
        "trials": trials,
        "tokens": {name: _counted(*found, cells) for name, found in spending.tokens.items()},
        "total_usd": to_usd(spending.paid.of(cells)) if known else None,
        "known": known,
        "estimated": len(guesses),
        "estimate_usd": float(guesses.sum()) if len(guesses) else None,
        "unknown": trials - known - len(guesses),
        "mean_usd": mean,
        "ci95": ends,
        "per_1k_requests": None if mean is None else 1000 * mean,
        "correct": correct[0],
        "per_correct_usd": correct[1],
        "reliably_correct": reliably[0],
        "per_reliably_correct_usd": reliably[1],
        "cache": _from_cache(spending, cells),
    }


def _counted(total: Ints, known: Ints, cells: Ints) -> dict[str, Any]:
    n, tokens = int(known[cells].sum()), int(total[cells].sum())
    if not n:
        return {"total": None, "mean": None, "n": 0}
    return {"total": tokens, "mean": tokens / n, "n": n}


def _mean(spending: Spending, cells: Ints, known: int) -> tuple[float | None, list[float] | None]:
    """Mean cost of a request with its interval; prompts (or clusters) are resampled whole."""
    if not known:
        return None, None
    frame = spending.frame
    unit = cells % len(frame.prompt_ids)
    unit = unit if frame.clusters is None else frame.clusters[unit]
    sizes: Floats = np.bincount(unit, spending.known[cells]).astype(np.float64)
    sums: Floats = np.bincount(unit, spending.paid.pico()[cells] / PICO).astype(np.float64)
    there = sizes > 0
    ends = json_values.interval(
        stats.ratio_ci(
            sums[there],
            sizes[there],
            lowest=float(spending.least_usd[cells].min()),
            highest=float(spending.most_usd[cells].max()),
        )
    )
    if ends is not None:
        ends[0] = max(0.0, ends[0])  # a t interval does not know that nobody is paid for asking
    return float(to_usd(spending.paid.of(cells)) / known), ends


def _bought(spending: Spending, cells: Ints, bought: Ints) -> tuple[int | None, float | None]:
    """How many answers the records of some cells bought, and dollars for each; None without any."""
    if not spending.known[cells].any():
        return None, None
    count = int(bought[cells].sum())
    return count, float(to_usd(spending.paid.of(cells)) / count) if count else None


def _from_cache(spending: Spending, cells: Ints) -> dict[str, Any]:
    read, cached = (int(counts[cells].sum()) for counts in spending.cached)
    priced = int(spending.priced[cells].sum())
    return {
        "share": cached / read if read else None,
        "saved_usd": to_usd(spending.saved.of(cells)) if priced else None,
    }
