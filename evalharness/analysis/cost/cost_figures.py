"""Tokens and money of the records of some cells, and what a correct answer cost.

A *correct* answer has a score of 1; a *reliably correct* one is correct in all repeats of its
prompt under its setting, an error being no correct repeat. The unit of every interval is the prompt
(or the dataset's cluster).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.cost.cell_costs import CellCosts
from evalharness.analysis.cost.usage import TokenCounts
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.pricing.cost_sum import CostSum
from evalharness.pricing.price import PICO, to_usd


class CacheSavings(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider's cache of prompts was good for.

    Attributes:
        share: of prompt tokens read from the cache, in [0, 1], over records with both counts; null
            where no record has both.
        saved_usd: US dollars saved against the full prompt price; null where no record has both
            counts and a cost by the price table (an imported cost is not one).
    """

    share: float | None
    saved_usd: Decimal | None


class CostFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and money of some records.

    Attributes:
        trials: records.
        tokens: as the provider reported them, by kind.
        total_usd: US dollars of the records with a known cost; null where none has one.
        known: records with a known cost.
        from_bill: those of them without a price, whose cost is the provider's bill.
        estimated: records of unknown cost for which there is an estimate.
        estimate_usd: US dollars of the estimates, in no total; null where there is none.
        unknown: records without a known cost, the estimated ones among them.
        unknown_reasons: how many of the unknown there are by reason
            (``no_price``, ``count_missing`` or ``usage_contradicts``: docs/cost.md).
        mean_usd: US dollars a request of known cost; null where no cost is known.
        ci95: ``[low, high]`` of the mean over prompts; null where it is undefined.
        per_1k_requests: US dollars of 1,000 requests at the mean; null where no cost is known.
        correct: answers of known cost with a score of 1; null where nothing that is scored has a
            known cost.
        per_correct_usd: US dollars of prompts that were scored, failures included, for each correct
            answer; null without correct answers.
        reliably_correct: answers of prompts that are correct in all of two or more repeats; null
            where no prompt of known cost was scored and repeated.
        per_reliably_correct_usd: US dollars of prompts with two or more repeats for each of these
            answers; null without any.
        cache: what the provider's cache of prompts saved.
    """

    trials: int
    tokens: dict[str, TokenCounts]
    total_usd: Decimal | None
    known: int
    from_bill: int
    estimated: int
    estimate_usd: Decimal | None
    unknown: int
    unknown_reasons: dict[str, int]
    mean_usd: float | None
    ci95: list[float] | None
    per_1k_requests: float | None
    correct: int | None
    per_correct_usd: float | None
    reliably_correct: int | None
    per_reliably_correct_usd: float | None
    cache: CacheSavings


def describe_cells(costs: CellCosts, cells: Ints, money: CostSum | None = None) -> CostFigures:
    """Tokens and money of the records of some cells.

    Args:
        costs: the run.
        cells: their numbers, each once.
        money: what their records cost, where it is added up already.
    """
    money = costs.sum_of(cells) if money is None else money
    correct = _cost_per_answer(costs, cells[costs.scored[cells]], costs.correct)
    repeated = cells[costs.scored[cells] & (costs.trials[cells] >= 2)]
    reliable = np.where(costs.reliable, costs.known, 0)
    reliably = _cost_per_answer(costs, repeated, reliable)
    return CostFigures(
        trials=int(costs.trials[cells].sum()),
        tokens={name: _token_sums(*sums, cells) for name, sums in costs.tokens.items()},
        total_usd=money.total_usd,
        known=money.known,
        from_bill=money.from_bill,
        estimated=money.estimated,
        estimate_usd=money.estimate_usd,
        unknown=money.unknown,
        unknown_reasons=money.unknown_reasons,
        mean_usd=money.mean_usd,
        ci95=_mean_interval(costs, cells) if money.known else None,
        per_1k_requests=money.per_1k_usd,
        correct=correct[0],
        per_correct_usd=correct[1],
        reliably_correct=reliably[0],
        per_reliably_correct_usd=reliably[1],
        cache=_cache_savings(costs, cells),
    )


def _token_sums(total: Ints, known: Ints, cells: Ints) -> TokenCounts:
    n, tokens = int(known[cells].sum()), int(total[cells].sum())
    if not n:
        return TokenCounts(total=None, mean=None, n=0)
    return TokenCounts(total=tokens, mean=tokens / n, n=n)


def _mean_interval(costs: CellCosts, cells: Ints) -> list[float] | None:
    """The interval of the mean cost of a request; the unit is the prompt (or its cluster)."""
    frame = costs.frame
    unit = cells % len(frame.prompt_ids)
    unit = unit if frame.clusters is None else frame.clusters[unit]
    sizes: Floats = np.bincount(unit, costs.known[cells]).astype(np.float64)
    sums: Floats = np.bincount(unit, costs.cost.per_cell()[cells] / PICO).astype(np.float64)
    with_cost = sizes > 0
    ends = json_values.interval(stats.ratio_ci(sums[with_cost], sizes[with_cost], scale="amount"))
    if ends is not None:
        ends[0] = max(0.0, ends[0])  # the interval may reach below 0, but no request costs less
    return ends


def _cost_per_answer(
    costs: CellCosts, cells: Ints, answers: Ints
) -> tuple[int | None, float | None]:
    """Number of such answers in some cells, and dollars for each; None where no cost is known."""
    if not costs.known[cells].any():
        return None, None
    count = int(answers[cells].sum())
    return count, float(to_usd(costs.cost.total(cells)) / count) if count else None


def _cache_savings(costs: CellCosts, cells: Ints) -> CacheSavings:
    read, cached = (int(counts[cells].sum()) for counts in costs.cached)
    priced = int(costs.priced[cells].sum())
    return CacheSavings(
        share=cached / read if read else None,
        saved_usd=to_usd(costs.saved.total(cells)) if priced else None,
    )
