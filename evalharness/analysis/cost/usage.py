"""Token usage and cost in dollars by setting.

Sums are over the records whose value is known, and ``n`` is their number: where it is below the
number of records, the sum is a lower bound. Null when no value is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame

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


def cost_usd(frame: RunFrame) -> list[dict[str, Any]]:
    """Cost of each setting in US dollars.

    Returns:
        One a setting: ``total`` over records with a known cost, ``n`` of them;
        ``per_1k_requests``, 1,000 times their mean; ``billed_total``, what the provider says it
        billed, over ``billed_n`` records; ``unknown`` and ``billed_unknown``, delivered answers
        (no errors) without the one or the other: a total is complete where this is 0.

    """
    billed = frame.values("billed_usd")
    unknown = np.broadcast_to(np.nan, len(billed))
    computed = unknown if frame.cost_usd is None else frame.cost_usd
    out: list[dict[str, Any]] = []
    for s in range(len(frame.setting_ids)):
        rows = frame.rows_of(s)
        total, n = _sum(computed[rows])
        billed_total, billed_n = _sum(billed[rows])
        out.append(
            {
                "total": total,
                "per_1k_requests": None if total is None else 1000.0 * total / n,
                "billed_total": billed_total,
                "n": n,
                "billed_n": billed_n,
                "unknown": int((frame.usable[rows] & np.isnan(computed[rows])).sum()),
                "billed_unknown": int((frame.usable[rows] & np.isnan(billed[rows])).sum()),
            }
        )
    return out


def _sum(values: Floats) -> tuple[float | None, int]:
    known = values[~np.isnan(values)]
    return (float(known.sum()) if len(known) else None), len(known)
