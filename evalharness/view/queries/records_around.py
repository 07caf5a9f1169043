"""The records before and after one, in the order of a filter."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.view.queries.record_filter import RecordFilter
from evalharness.view.queries.record_index import RecordIndex
from evalharness.view.queries.record_query import RecordQuery


class RecordsAround(NamedTuple):
    """The records before and after one in a table; None at an end.

    ``place`` is from 1 of ``size``.
    """

    previous: str | None
    following: str | None
    place: int
    size: int


def records_around(
    index: RecordIndex, query: RecordQuery, shown: RecordFilter, trial_id: str
) -> RecordsAround | None:
    """The records before and after one; None where the filter does not have it.

    Args:
        index: whose lock the caller holds.
        query: of the same index.
        shown: the filter.
        trial_id: the record.

    Raises:
        BadParameterError: the filter names what the run does not have.
    """
    numbers = query.sorted_numbers(shown)
    records, ask = index.table("records"), index.cursor()
    own = f"SELECT row FROM {records} WHERE trial_id = ?"
    rows = {row for (row,) in ask.execute(own, [trial_id]).fetchall()}
    places = [at for row in rows for at in (numbers == row).nonzero()[0].tolist()]
    if not places:
        return None
    place = min(places)
    wanted = [int(numbers[at]) for at in (place - 1, place + 1) if 0 <= at < len(numbers)]
    names = f"SELECT row, trial_id FROM {records} WHERE row IN (SELECT unnest(?))"
    ids = dict(ask.execute(names, [wanted]).fetchall())
    return RecordsAround(
        previous=ids[int(numbers[place - 1])] if place else None,
        following=ids[int(numbers[place + 1])] if place + 1 < len(numbers) else None,
        place=place + 1,
        size=len(numbers),
    )
