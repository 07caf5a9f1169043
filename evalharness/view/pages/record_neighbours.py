"""The records before and after one, in the order it is seen in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

from evalharness.errors import EvalharnessError
from evalharness.store.folder.annotations import TrialKey, read_annotations, reader_name
from evalharness.store.folder.run import Run
from evalharness.view.context import ViewContext
from evalharness.view.pages.record_jobs import prepare_jobs, take_in
from evalharness.view.queries.marks import record_marks
from evalharness.view.queries.record_filter import RecordFilter
from evalharness.view.queries.record_query import PAGE_ROWS, RecordQuery
from evalharness.view.queries.records_around import records_around


class Neighbours(NamedTuple):
    """The records before and after one; None at an end.

    ``place`` is from 1 of ``size``; ``name`` says of what.
    """

    previous: str | None
    following: str | None
    place: int
    size: int
    name: str


def prompt_neighbours(of_prompt: Sequence[TrialKey], trial_id: str) -> Neighbours | None:
    """Those of the prompt, whose records are given in their order."""
    ids = [key.trial_id for key in of_prompt]
    if trial_id not in ids:
        return None
    place = ids.index(trial_id)
    return Neighbours(
        previous=ids[place - 1] if place else None,
        following=ids[place + 1] if place + 1 < len(ids) else None,
        place=place + 1,
        size=len(ids),
        name="of the prompt",
    )


class TablePlace(NamedTuple):
    """Where a record is in a table: its neighbours, and the filter with the page that has it."""

    neighbours: Neighbours
    shown: RecordFilter


def table_place(
    context: ViewContext, key: str, run: Run, table: str, trial_id: str
) -> TablePlace | None:
    """Its place in the table that a query shows; None where it does not have the record.

    None as well where it needs what is not computed yet, or means nothing: the record is shown
    anyway.
    """
    try:
        shown = RecordFilter.of_query(parse_qsl(table))
        jobs = prepare_jobs(context, context.runs.find(key), run, shown)
        if not jobs.are_done(context.contents):
            return None
        take_in(context, jobs)
        reader = shown.reader or (reader_name() if context.settings.marks else "")
        marks = record_marks(read_annotations(run.root), reader)
        with context.records.opened(run) as index:
            query = RecordQuery(index, marks, jobs.regressions)
            around = records_around(index, query, shown, trial_id)
    except EvalharnessError:
        return None
    if around is None:
        return None
    page = (around.place - 1) // PAGE_ROWS + 1
    return TablePlace(Neighbours(*around, name="of the table"), shown.with_page(page))
