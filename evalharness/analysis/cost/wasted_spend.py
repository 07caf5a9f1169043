"""Cost of attempts that delivered nothing: failed, retried and in-doubt attempts."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
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


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What the HTTP attempts of one kind cost.

    Attributes:
        attempts: how many there are.
        usd: US dollars, over those of known cost.
        unknown: attempts of unknown cost.
        worst_case_usd: US dollars that were set aside for those of unknown cost; null where nothing
            was.
    """

    attempts: int = 0
    usd: Decimal = Decimal(0)
    unknown: int = 0
    worst_case_usd: Decimal | None = None


class AttemptSpending(msgspec.Struct, frozen=True, kw_only=True):
    """What all HTTP attempts of a run cost, and what of it was wasted.

    Attributes:
        all: every attempt.
        failed: attempts that ended their trial as an error.
        retried: attempts that a later one followed.
        in_doubt: attempts of unknown outcome; they are neither among the failed nor the retried.
        wasted: failed, retried and in doubt together.
    """

    all: Spending
    failed: Spending
    retried: Spending
    in_doubt: Spending
    wasted: Spending


class WastedSpend:
    """Adds up, block by block, what the attempts of a run cost and what was wasted."""

    def __init__(self) -> None:
        self._kinds: dict[str, Spending] = {}

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
        kinds["wasted"] = kinds["failed"] | kinds["retried"] | costs.in_doubt
        for name, rows in kinds.items():
            self._kinds[name] = _add(self._kinds.get(name, Spending()), costs, rows)

    def spending(self) -> AttemptSpending | None:
        """The sums; None for a run without attempts (an import)."""
        return AttemptSpending(**self._kinds) if self._kinds else None


def _add(before: Spending, costs: pricing.AttemptCosts, rows: Bools) -> Spending:
    """The sums with some more attempts."""
    unknown = rows & ~costs.known
    worst = unknown & costs.reserved_known
    at_worst = before.worst_case_usd
    if worst.any():
        at_worst = (at_worst or Decimal(0)) + picodollars.total(costs.reserved[worst])
    return Spending(
        attempts=before.attempts + int(rows.sum()),
        usd=before.usd + picodollars.total(costs.pico[rows & costs.known]),
        unknown=before.unknown + int(unknown.sum()),
        worst_case_usd=at_worst,
    )
