"""``/run/{run}/records?…``: the records of a run, filtered, sorted, and page by page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from evalharness.errors import ConfigError
from evalharness.listing.run_row import DAMAGED, ListedRun
from evalharness.process.text import plural
from evalharness.store.folder.annotations import (
    Annotations,
    read_annotations,
    reader_name,
    whole_annotations,
)
from evalharness.store.folder.run import Run
from evalharness.view.content.jobs import Failure
from evalharness.view.context import ViewContext
from evalharness.view.links import run_url
from evalharness.view.pages.record_cells import cell, filter_words
from evalharness.view.pages.record_export import (
    FORMS,
    csv_chunks,
    jsonl_chunks,
    write_parquet,
)
from evalharness.view.pages.record_jobs import RecordJobs, prepare_jobs, take_in
from evalharness.view.pages.setting_labels import setting_labels
from evalharness.view.queries.marks import record_marks
from evalharness.view.queries.record_filter import (
    MARK_STATES,
    STATUSES,
    BadParameterError,
    RecordFilter,
)
from evalharness.view.queries.record_query import PAGE_ROWS, RecordQuery
from evalharness.view.runs import ViewedRun

_WAIT = "wait"  # the parameter that lets a browser without scripts wait for scores


class _Asked(NamedTuple):
    """What an address asks for, and what has to be computed for it."""

    viewed: ViewedRun
    row: ListedRun
    run: Run
    shown: RecordFilter
    jobs: RecordJobs


def routes(context: ViewContext) -> list[Route]:
    """The addresses of the table, of what it waits for, and of its exports."""

    async def show(request: Request) -> Response:
        table = await run_in_threadpool(_read, context, request)
        if table is None:
            return _nothing(context, request.path_params["run"])
        failure = None
        if _WAIT in request.query_params:
            failure = await table.jobs.compute(context.contents)
            if failure is not None and table.jobs.needed:
                raise _unable(failure)
        elif not table.jobs.are_done(context.contents):
            return await run_in_threadpool(_waiting, context, table)
        await run_in_threadpool(take_in, context, table.jobs)
        return await run_in_threadpool(_page, context, table, failure)

    async def scores(request: Request) -> Response:
        """Answers when what the table of this address needs is computed."""
        table = await run_in_threadpool(_read, context, request)
        failure = None
        if table is not None:
            failure = await table.jobs.compute(context.contents)
            await run_in_threadpool(take_in, context, table.jobs)
        words = None if failure is None else context.runs.as_typed(failure.message)
        return JSONResponse({"failure": words})

    return [
        Route("/run/{run:run}/records", show),
        Route("/run/{run:run}/records/scores", scores),
        *_export_routes(context),
    ]


def _export_routes(context: ViewContext) -> list[Route]:
    async def export(request: Request) -> Response:
        form = request.path_params["form"]
        if form not in FORMS:
            raise HTTPException(404)
        table = await run_in_threadpool(_read, context, request)
        if table is None:
            raise ConfigError("there are no records to export")
        failure = await table.jobs.compute(context.contents) if table.jobs.needed else None
        if failure is not None:
            raise _unable(failure)
        await run_in_threadpool(take_in, context, table.jobs)
        return await run_in_threadpool(_export, context, table, form)

    return [Route("/run/{run:run}/export.{form}", export)]


def _unable(failure: Failure) -> ConfigError:
    return ConfigError(failure.message, hint=failure.hint)


def _read(context: ViewContext, request: Request) -> _Asked | None:
    """What an address asks for; None where nothing is recorded yet, or can be read."""
    pairs = [pair for pair in request.query_params.multi_items() if pair[0] != _WAIT]
    shown = RecordFilter.of_query(pairs)
    viewed = context.runs.find(request.path_params["run"])
    row = context.runs.row(viewed)
    run = viewed.open() if row.status == DAMAGED else None  # it says what is damaged
    if not row.records:
        return None
    run = run or viewed.open()
    return _Asked(viewed, row, run, shown, prepare_jobs(context, viewed, run, shown))


def _nothing(context: ViewContext, key: str) -> Response:
    row = context.runs.row(context.runs.find(key))
    is_damaged = row.status == DAMAGED
    return context.page(
        "records_wait.html",
        run=key,
        problem=row.problem,
        message="The records cannot be read." if is_damaged else "Nothing is recorded yet.",
        scores_url=None,
        wait_url=None,
    )


def _waiting(context: ViewContext, table: _Asked) -> Response:
    key, query = table.viewed.key, table.shown.query()
    return context.page(
        "records_wait.html", run=key, problem=None,
        message="This table needs the scores of all records, which are being computed.",
        scores_url=run_url(key, "records", "scores") + query,
        wait_url=f"{run_url(key, 'records')}{query}{'&' if query else '?'}{_WAIT}=1",
    )  # fmt: skip


class _Marking(NamedTuple):
    """Whose marks are shown."""

    annotations: Annotations
    reader: str


def _marking(context: ViewContext, table: _Asked) -> _Marking:
    """The reader that the address names; else the one who can mark; else all of them together."""
    annotations = read_annotations(table.run.root)
    own = reader_name() if context.settings.marks else ""
    known = {row.reader for row in annotations.rows}
    named = table.shown.reader
    if named:
        whole_annotations(table.run.root)
    if named and named not in known | {own}:
        raise BadParameterError("reader", named, sorted(known) or "nobody has marked a record")
    return _Marking(annotations, named or own)


def _page(context: ViewContext, table: _Asked, failure: Failure | None) -> Response:
    shown, key, jobs = table.shown, table.viewed.key, table.jobs
    marking = _marking(context, table)
    with context.records.opened(table.run) as index:
        has_marks = context.settings.marks or bool(marking.annotations.rows)
        columns = index.columns.chosen(shown.columns, shown.scorer, marks=has_marks)
        usual = [c.name for c in index.columns.chosen((), shown.scorer, marks=has_marks)]
        marks = record_marks(marking.annotations, marking.reader)
        query = RecordQuery(index, marks, jobs.regressions)
        page, choices = query.page(shown, columns), query.choices()
        size, every, scorers = index.size, index.columns.all(shown.scorer), index.columns.scorers
        is_scored = index.scored == index.version
    named = setting_labels(table.run.setting_list)
    labels = {key: named.get(key, label) for key, label in choices.settings}
    pages = max(1, -(-page.hits // PAGE_ROWS))
    exported = msgspec.structs.replace(shown, page=1, columns=tuple(c.name for c in columns))
    return context.page(
        "records.html",
        run=key,
        row=table.row,
        filter=shown,
        columns=columns,
        usual_columns=usual,
        other_runs=context.runs.other_keys(key),
        every_column=list(every.values()),
        lines=[(row, [cell(c, row[c.name]) for c in columns]) for row in page.rows],
        count=_count(page.hits, size),
        words=filter_words(shown, labels),
        choices=choices,
        settings_by_label=[*labels.items()],
        scorers=scorers or (),
        statuses=STATUSES,
        mark_states=MARK_STATES,
        reader=marking.reader,
        damage=marking.annotations.damage,
        obstacles=jobs.obstacles(context.contents),
        pages=pages,
        first=(shown.page - 1) * PAGE_ROWS + 1,
        exports=[(form, run_url(key, f"export.{form}") + exported.query()) for form in FORMS],
        is_scored=is_scored,
        failure=failure,
        scores_url=run_url(key, "records", "scores") + shown.query(),
        address=run_url(key, "records"),
        has_more_filters=_has_more(shown),
    )


def _has_more(shown: RecordFilter) -> bool:
    """Whether a filter is used that is in the part of the form that can be folded."""
    plain = RecordFilter(
        text=shown.text, settings=shown.settings, statuses=shown.statuses, sort=shown.sort,
        reverse=shown.reverse, page=shown.page, columns=shown.columns,
    )  # fmt: skip
    return plain != shown


def _count(hits: int, size: int) -> str:
    return plural(size, "record") if hits == size else f"{hits:,} of {plural(size, 'record')}"


def _export(context: ViewContext, table: _Asked, form: str) -> Response:
    if _shows_marks(table.shown):
        whole_annotations(table.run.root)  # a damaged file would look like no marks
    marking = _marking(context, table)
    marks = record_marks(marking.annotations, marking.reader)
    with context.records.opened(table.run) as index:
        columns = index.columns.chosen(
            table.shown.columns, table.shown.scorer, marks=bool(marking.annotations.rows)
        )
        batches = RecordQuery(index, marks, table.jobs.regressions).batches(table.shown, columns)
        first = list(islice(batches, 1))
        file = index.temporary_file()
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in table.run.name)
    headers = {"content-disposition": f'attachment; filename="{_ascii(name)}-records.{form}"'}
    return _answer(form, [c.name for c in columns], first, batches, file, headers)


def _shows_marks(shown: RecordFilter) -> bool:
    """Whether the rows, their order or what is shown of them depends on marks."""
    names = {*shown.columns, shown.sort}
    return not shown.columns or bool(shown.mark or shown.reader or names & {"mark", "note"})


def _answer(
    form: str, columns: list[str], first: list[Any], batches: Iterator[Any], file: Path,
    headers: dict[str, str],
) -> Response:  # fmt: skip
    if form == "parquet":
        write_parquet(file, chain(first, batches))
        remove = BackgroundTask(file.unlink, missing_ok=True)
        return FileResponse(file, media_type=FORMS[form], headers=headers, background=remove)
    rows = chain(first, batches)
    chunks = csv_chunks(columns, rows) if form == "csv" else jsonl_chunks(rows)
    return StreamingResponse(chunks, media_type=FORMS[form], headers=headers)


def _ascii(name: str) -> str:
    return name.encode("ascii", "ignore").decode() or "run"
