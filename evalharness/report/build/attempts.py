"""The HTTP attempts of a run, read part by part: what became of them, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.analysis.cost.wasted_spend import COLUMNS, Waste
from evalharness.pricing import PriceBook
from evalharness.pricing.attempts import AttemptCosts
from evalharness.report.build import errors
from evalharness.store.folder.current_plan import Asked, Chosen
from evalharness.store.parts.streaming_read import Snapshot, joined

if TYPE_CHECKING:
    import pyarrow as pa

# What tells whether the plan asks for a row.
_CELL = ("prompt_id", "setting_id", "repeat")
_READ = tuple(dict.fromkeys((*COLUMNS, *errors.ATTEMPT_COLUMNS, *_CELL)))


class AttemptsTold(NamedTuple):
    """What is said of the attempts of a run.

    Attributes:
        made: how many there are.
        in_doubt: those of unknown outcome.
        facts: of :meth:`~evalharness.report.build.errors.Attempts.facts`.
        spent: of :meth:`~evalharness.analysis.cost.wasted_spend.Waste.facts`, over those that are
            asked for.
    """

    made: int
    in_doubt: int
    facts: dict[str, Any]
    spent: dict[str, Any] | None


def read_attempts(
    stored: Snapshot, asked: Asked | None, settings: pa.Table, book: PriceBook
) -> AttemptsTold:
    """Read the attempts of a run.

    Args:
        stored: the attempts.
        asked: the newest plan; None takes all.
        settings: those that are reported, for the names that prices are looked up by.
        book: the prices.

    Raises:
        StorageError: a file is damaged.
    """
    columns = ("setting_id", "provider", "model")
    named = {
        str(setting_id): (provider, model)
        for setting_id, provider, model in zip(
            *(settings[name].to_pylist() for name in columns), strict=True
        )
    }
    found, waste = errors.Attempts(), Waste()
    asking = None if asked is None else Chosen(asked)
    retried: set[int] = set()  # parts with attempts that were not the last of their trial

    def parts() -> Iterator[pa.Table]:
        for number, part in enumerate(stored.parts(_READ)):
            if len(_not_final(part)):
                retried.add(number)
            yield part

    for rows in joined(parts()):
        found.add(rows)
        wanted = None if asking is None else asking.rows_of(rows)
        chosen = rows if wanted is None or wanted.all() else rows.filter(wanted)
        waste.add(chosen, AttemptCosts(chosen, named, book))
    again = [_not_final(p) for p in stored.parts(errors.AGAIN_COLUMNS, only=retried)]
    (every,) = joined(again, rows=None)
    facts = found.facts(every)
    return AttemptsTold(found.made, found.in_doubt, facts, waste.facts())


def _not_final(attempts: pa.Table) -> pa.Table:
    import pyarrow.compute

    compute: Any = pyarrow.compute
    return attempts.filter(compute.invert(attempts["final"]))
