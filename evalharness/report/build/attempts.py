"""The HTTP attempts of a run, read part by part: their outcomes, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.analysis.cost.wasted_spend import COLUMNS, AttemptSpending, WastedSpend
from evalharness.pricing import PriceBook
from evalharness.pricing.attempts import AttemptCosts
from evalharness.report.build import errors
from evalharness.store.folder.current_plan import BlockFilter, PlanFilter, only_settings
from evalharness.store.parts.streaming_read import Snapshot, concat_parts

if TYPE_CHECKING:
    import pyarrow as pa

# The plan filter reads these.
_CELL_COLUMNS = ("prompt_id", "setting_id", "repeat")
_COLUMNS = tuple(dict.fromkeys((*COLUMNS, *errors.ATTEMPT_COLUMNS, *_CELL_COLUMNS)))


class AttemptStats(NamedTuple):
    """Counts and costs of the attempts of a run.

    Attributes:
        total: how many there are.
        in_doubt: those of unknown outcome.
        counts: of all of them.
        spending: what those attempts cost that the plan asks for; None where there are none.
    """

    total: int
    in_doubt: int
    counts: errors.AttemptCounts
    spending: AttemptSpending | None


def read_attempts(
    stored: Snapshot,
    plan_filter: PlanFilter | None,
    settings: pa.Table,
    book: PriceBook,
    only: Sequence[str] = (),
) -> AttemptStats:
    """Read the attempts of a run.

    Args:
        stored: the attempts.
        plan_filter: selects the rows of the newest plan; None takes all.
        settings: the reported ones, with the names that prices are looked up by.
        book: the prices.
        only: ids of the only settings that are reported; empty for all.

    Raises:
        StorageError: a file is damaged.
    """
    columns = ("setting_id", "provider", "model")
    model_names = {
        str(setting_id): (provider, model)
        for setting_id, provider, model in zip(
            *(settings[name].to_pylist() for name in columns), strict=True
        )
    }
    counter, waste = errors.AttemptCounter(), WastedSpend()
    block_filter = None if plan_filter is None else BlockFilter(plan_filter)
    retried_parts: set[int] = set()  # with attempts that were not the last of their trial

    def parts() -> Iterator[pa.Table]:
        for number, part in enumerate(stored.parts(_COLUMNS)):
            part = only_settings(part, only)
            if len(_not_final(part)):
                retried_parts.add(number)
            yield part

    for rows in concat_parts(parts()):
        counter.add(rows)
        mask = None if block_filter is None else block_filter.mask_of_table(rows)
        planned = rows if mask is None or mask.all() else rows.filter(mask)
        waste.add(planned, AttemptCosts(planned, model_names, book))
    parts_again = stored.parts(errors.RETRIED_COLUMNS, part_numbers=retried_parts)
    (retried,) = concat_parts(
        [_not_final(only_settings(part, only)) for part in parts_again], rows=None
    )
    return AttemptStats(counter.total, counter.in_doubt, counter.counts(retried), waste.spending())


def _not_final(attempts: pa.Table) -> pa.Table:
    import pyarrow.compute

    compute: Any = pyarrow.compute
    return attempts.filter(compute.invert(attempts["final"]))
