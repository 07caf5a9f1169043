"""Money spent on nothing: failed, retried and in-doubt attempts, accounted apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.analysis.encode import Bools
from evalharness.pricing import attempts as pricing
from evalharness.pricing import picodollars
from evalharness.pricing.arrow import read_codes
from evalharness.records import Status

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of the attempts table that are read here, by pricing too.
COLUMNS = (*pricing.COLUMNS, "prompt_id", "final")


def spent(attempts: pa.Table, costs: pricing.AttemptCosts) -> dict[str, Any] | None:
    """What all attempts cost, and what of it bought nothing.

    Returns:
        ``all``, ``failed`` (attempts that ended their trial as an error), ``retried`` (a later
        attempt followed) and ``in_doubt`` (outcome unknown), which share no attempt, and
        ``on_nothing``, the three together. Each has ``attempts``, ``usd`` (Decimal) over those of
        known cost, ``unknown`` and ``at_worst_usd``: reservations of the unknown ones, null where
        none was made. None for a run without attempts (an import).
    """
    if not attempts.num_rows:
        return None
    final = np.asarray(attempts["final"].to_numpy(), dtype=np.bool_)
    statuses, code = read_codes(attempts, "status")
    error = np.array([status == Status.ERROR.value for status in statuses], np.bool_)[code]
    kinds = {
        "all": np.ones(len(final), np.bool_),
        "failed": final & error & ~costs.in_doubt,
        "retried": ~final & ~costs.in_doubt,
        "in_doubt": costs.in_doubt,
    }
    kinds["on_nothing"] = kinds["failed"] | kinds["retried"] | costs.in_doubt
    return {name: _sum(costs, rows) for name, rows in kinds.items()}


def _sum(costs: pricing.AttemptCosts, rows: Bools) -> dict[str, Any]:
    unknown = rows & ~costs.known
    worst = unknown & costs.reserved_known
    return {
        "attempts": int(rows.sum()),
        "usd": picodollars.total(costs.pico[rows & costs.known]),
        "unknown": int(unknown.sum()),
        "at_worst_usd": picodollars.total(costs.reserved[worst]) if worst.any() else None,
    }
