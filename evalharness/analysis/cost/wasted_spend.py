"""Cost of attempts that delivered nothing: failed, retried and in-doubt attempts."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.analysis.data.encode import Bools
from evalharness.pricing import attempts as pricing
from evalharness.pricing import picodollars
from evalharness.pricing.usage_columns import read_codes
from evalharness.records import Status

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of the attempts table that are read here, by pricing too.
COLUMNS = (*pricing.COLUMNS, "prompt_id", "final")


class WastedSpend:
    """Adds up, block by block, what the attempts of a run cost and what was wasted."""

    def __init__(self) -> None:
        self._kinds: dict[str, _AttemptSums] = {}

    def add(self, attempts: pa.Table, costs: pricing.AttemptCosts) -> None:
        """Add attempts, with :data:`COLUMNS`, and what they cost."""
        if not attempts.num_rows:
            return
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
        for name, rows in kinds.items():
            self._kinds.setdefault(name, _AttemptSums()).add(costs, rows)

    def facts(self) -> dict[str, Any] | None:
        """What all attempts cost, and what of it was wasted.

        Returns:
            ``all``, ``failed`` (attempts that ended their trial as an error), ``retried`` (a later
            attempt followed) and ``in_doubt`` (outcome unknown), which share no attempt, and
            ``on_nothing``, the three together. Each has ``attempts``, ``usd`` (Decimal) over those
            of known cost, ``unknown`` and ``at_worst_usd``: reservations of the unknown ones, null
            where none was made. None for a run without attempts (an import).
        """
        return {name: kind.facts() for name, kind in self._kinds.items()} or None


class _AttemptSums:
    """Sums over the attempts of one kind."""

    def __init__(self) -> None:
        self._attempts = self._unknown = 0
        self._usd = Decimal(0)
        self._at_worst: Decimal | None = None

    def add(self, costs: pricing.AttemptCosts, rows: Bools) -> None:
        unknown = rows & ~costs.known
        worst = unknown & costs.reserved_known
        self._attempts += int(rows.sum())
        self._usd += picodollars.total(costs.pico[rows & costs.known])
        self._unknown += int(unknown.sum())
        if worst.any():
            self._at_worst = (self._at_worst or 0) + picodollars.total(costs.reserved[worst])

    def facts(self) -> dict[str, Any]:
        return {
            "attempts": self._attempts,
            "usd": self._usd,
            "unknown": self._unknown,
            "at_worst_usd": self._at_worst,
        }
