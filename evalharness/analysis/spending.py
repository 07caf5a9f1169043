"""What some records cost, and what that bought.

Totals are exact Decimals over the records whose cost is known; estimates stand beside and are in
no total. A *correct* answer has a score of 1; a *reliably correct* one is correct in all repeats of
its prompt under its setting, an error being no correct repeat. The unit of every interval is the
prompt (or the dataset's cluster).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from evalharness.analysis import plain, stats
from evalharness.analysis.encode import Bools, Floats, Ints
from evalharness.analysis.frame import Frame
from evalharness.pricing import PriceBook, picodollars
from evalharness.pricing.columns import Costs, exact_costs

if TYPE_CHECKING:
    import pyarrow as pa

TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")


class Spending(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """The money of a frame's records, in the frame's order. Build it with :meth:`of`.

    Attributes:
        frame: the records.
        pico: exact cost in pico-dollars, 0 where unknown.
        known: where the cost is known.
        estimate_usd: NaN except for records with an estimate instead of a cost.
        saved: what cached tokens saved against the full prompt price, in pico-dollars.
        saved_known: where that is known.
    """

    frame: Frame
    pico: Ints
    known: Bools
    estimate_usd: Floats
    saved: Ints
    saved_known: Bools

    @classmethod
    def of(cls, frame: Frame, costs: Costs, book: PriceBook) -> Spending:
        """Read the costs of a frame's records; ``costs`` are those of ``frame.records``."""
        full, full_known = _without_cache(frame.records, book)
        known = np.isfinite(costs.cost_usd)
        pico = picodollars.from_usd(costs.cost_usd)
        both = known & full_known
        rows = frame.rows
        return cls(
            frame=frame,
            pico=pico[rows],
            known=known[rows],
            estimate_usd=costs.estimate_usd[rows],
            saved=np.where(both, np.maximum(full - pico, 0), 0)[rows],
            saved_known=both[rows],
        )

    @cached_property
    def tokens(self) -> dict[str, Floats]:
        """Token counts by name, NaN where not reported; decoded once."""
        return {name: self.frame.values(name) for name in TOKENS}

    @cached_property
    def correct(self) -> Bools:
        """Records with a score of 1."""
        score = self._score
        return np.zeros(len(self.pico), np.bool_) if score is None else score >= 1.0

    @cached_property
    def judged(self) -> Bools:
        """Records of cells that have a scored record: money that could buy a correct answer."""
        score = self._score
        if score is None:
            return np.zeros(len(self.pico), np.bool_)
        return self._cells(~np.isnan(score))[self.frame.cell] > 0

    @cached_property
    def repeated(self) -> Bools:
        """Judged records of cells with at least two repeats."""
        trials = np.bincount(self.frame.cell, minlength=self.frame.cells)
        return self.judged & (trials >= 2)[self.frame.cell]

    @cached_property
    def reliable(self) -> Bools:
        """Records of cells where every one of at least two repeats is correct."""
        trials = np.bincount(self.frame.cell, minlength=self.frame.cells)
        return self.repeated & (self._cells(self.correct) == trials)[self.frame.cell]

    @property
    def _score(self) -> Floats | None:
        return next(iter(self.frame.scores.values()), None)

    def _cells(self, rows: Bools) -> Ints:
        return np.bincount(self.frame.cell[rows], minlength=self.frame.cells)


def _without_cache(records: pa.Table, book: PriceBook) -> tuple[Ints, Bools]:
    """What each record would have cost had nothing been cached."""
    import pyarrow as pa

    dropped = [n for n in ("cached_tokens", "cost_usd_imported") if n in records.column_names]
    nothing = pa.array(np.zeros(records.num_rows, np.int64))
    bare: Any = records.drop_columns(dropped)
    whole, known = exact_costs(bare.append_column("cached_tokens", nothing), book)
    if "cost_usd_imported" in records.column_names:
        known &= np.asarray(records["cost_usd_imported"].is_null().to_numpy(), dtype=np.bool_)
    return whole, known


def describe(spending: Spending, rows: Ints) -> dict[str, Any]:
    """Tokens and money of some records.

    Args:
        spending: the run.
        rows: places in the frame's order.

    Returns:
        ``trials``; ``tokens`` with ``total``, ``mean`` and ``n`` each; ``total_usd`` (Decimal) of
        the ``known`` records; ``estimated`` further ones with ``estimate_usd``; ``unknown``, the
        rest; ``mean_usd`` per request with ``ci95``; ``per_1k_requests``; ``correct`` answers and
        ``per_correct_usd``; ``reliably_correct`` and ``per_reliably_correct_usd``; ``cache`` with
        ``share`` of prompt tokens and ``saved_usd`` (Decimal). Null where nothing is known.
    """
    known = spending.known[rows]
    paid = rows[known]
    guessed = spending.estimate_usd[rows]
    guessed = guessed[np.isfinite(guessed)]
    mean, ends = _mean(spending, paid)
    correct = _bought(spending, paid, spending.judged, spending.correct)
    reliably = _bought(spending, paid, spending.repeated, spending.reliable)
    return {
        "trials": len(rows),
        "tokens": {name: _tokens(values[rows]) for name, values in spending.tokens.items()},
        "total_usd": picodollars.total(spending.pico[paid]) if len(paid) else None,
        "known": len(paid),
        "estimated": len(guessed),
        "estimate_usd": float(guessed.sum()) if len(guessed) else None,
        "unknown": len(rows) - len(paid) - len(guessed),
        "mean_usd": mean,
        "ci95": ends,
        "per_1k_requests": None if mean is None else 1000 * mean,
        "correct": correct[0],
        "per_correct_usd": correct[1],
        "reliably_correct": reliably[0],
        "per_reliably_correct_usd": reliably[1],
        "cache": _cache(spending, rows),
    }


def _tokens(values: Floats) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    if not len(known):
        return {"total": None, "mean": None, "n": 0}
    return {"total": int(known.sum()), "mean": float(known.mean()), "n": len(known)}


def _mean(spending: Spending, paid: Ints) -> tuple[float | None, list[float] | None]:
    """Mean cost of a request with its interval; prompts (or clusters) are resampled whole."""
    if not len(paid):
        return None, None
    frame, dollars = spending.frame, spending.pico[paid] / 1e12
    prompt = frame.prompt[paid]
    clusters = prompt if frame.clusters is None else frame.clusters[prompt]
    ends = plain.interval(stats.mean_ci(dollars, clusters=clusters, scale="real"))
    if ends is not None:
        ends[0] = max(0.0, ends[0])  # a t interval does not know that nobody is paid for asking
    return float(picodollars.total(spending.pico[paid]) / len(paid)), ends


def _bought(
    spending: Spending, paid: Ints, eligible: Bools, bought: Bools
) -> tuple[int | None, float | None]:
    """How many answers the eligible records bought, and dollars for each; None without any."""
    rows = paid[eligible[paid]]
    if not len(rows):
        return None, None
    count = int(np.count_nonzero(bought[rows]))
    spent = picodollars.total(spending.pico[rows])
    return count, float(spent / count) if count else None


def _cache(spending: Spending, rows: Ints) -> dict[str, Any]:
    prompt, cached = (spending.tokens[name][rows] for name in ("prompt_tokens", "cached_tokens"))
    both = ~np.isnan(prompt) & ~np.isnan(cached)
    read = float(prompt[both].sum())
    priced = rows[spending.saved_known[rows] & both]
    return {
        "share": float(cached[both].sum()) / read if read else None,
        "saved_usd": picodollars.total(spending.saved[priced]) if len(priced) else None,
    }
