"""Token usage and cost in dollars by setting.

Sums are over the records whose value is known, and ``n`` is their number: where it is below the
number of records, the sum is a lower bound. Null when no value is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame
from evalharness.pricing.cost_columns import SettingCost

TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")


def token_usage(frame: RunFrame) -> list[dict[str, Any]]:
    """Token counts of each setting as the provider reported them: ``total``, ``mean``, ``n``."""
    rows: list[dict[str, Any]] = [{} for _ in frame.setting_ids]
    for name in TOKENS:  # one column at a time, since each is a number a record
        values = frame.values(name)
        for s, row in enumerate(rows):
            row[name] = _token_sums(values[frame.rows_of(s)])
    return rows


def _token_sums(values: Floats) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    if not len(known):
        return {"total": None, "mean": None, "n": 0}
    return {"total": int(known.sum()), "mean": float(known.mean()), "n": len(known)}


def cost_usd(cost: SettingCost) -> dict[str, Any]:
    """Cost of a setting in US dollars, as plain JSON values.

    Returns:
        ``total`` over the ``n`` trials with a known cost; ``per_1k_requests``, 1,000 times their
        mean; ``billed_total``, what the provider says it billed, over ``billed_n`` trials;
        ``unknown`` and ``billed_unknown``, the other trials: a total is complete where this is 0;
        ``unknown_reasons``, how many of the unknown there are by reason
        (:data:`~evalharness.pricing.cost_formula.REASONS`).
    """
    total, billed = cost.total_usd, cost.billed_total_usd
    return {
        "total": None if total is None else float(total),
        "per_1k_requests": cost.per_1k_usd,
        "billed_total": None if billed is None else float(billed),
        "n": cost.known,
        "billed_n": cost.billed_rows,
        "unknown": cost.unknown,
        "unknown_reasons": cost.unknown_reasons,
        "billed_unknown": cost.billed_unknown,
    }
