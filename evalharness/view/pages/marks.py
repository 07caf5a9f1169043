"""``/run/{run}/marks``: what people say of records, which ``--marks`` lets a reader change."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evalharness.store.folder.annotations import (
    Annotation,
    Edit,
    Mark,
    TrialKey,
    annotation_bytes,
    change_annotations,
    read_annotations,
    reader_name,
    whole_annotations,
)
from evalharness.store.folder.run import Run
from evalharness.view.content.jobs import Content, ReportJob
from evalharness.view.context import ViewContext
from evalharness.view.pages.content_parts import fragment
from evalharness.view.pages.setting_choice import setting_choice
from evalharness.view.queries.record_lookup import find_key

_MAX_ROWS = 500  # marks on the page, newest first; the export has all
_MAX_BODY = 100_000  # bytes of a change: a note is no document
_SECTION = "marks"  # of the report


class MarkChange(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a change; a key that is absent stays as it is.

    Attributes:
        trial_id: of the record.
        mark: pass or fail; null takes the mark away.
        note: a text; null or an empty one takes the note away.
    """

    trial_id: str
    mark: Mark | msgspec.UnsetType | None = msgspec.UNSET
    note: str | msgspec.UnsetType | None = msgspec.UNSET


class MarkLine(NamedTuple):
    """A row of the page."""

    row: Annotation
    label: str
    is_own: bool


class ReaderLine(NamedTuple):
    """What a reader said, counted."""

    reader: str
    passed: int
    failed: int
    notes: int


def routes(context: ViewContext) -> list[Route]:
    """The addresses of the marks of a run."""

    def show(request: Request) -> Response:
        key = request.path_params["run"]
        run = context.runs.find(key).open()
        annotations = read_annotations(run.root)
        choice = setting_choice(run, request.query_params.getlist("setting"))
        rows = [row for row in annotations.rows if choice.is_of(row.setting_id)]
        newest = sorted(rows, key=lambda row: -row.marked_at)
        own = reader_name()
        return context.page(
            "marks.html",
            run=key,
            damage=annotations.damage,
            reader=own,
            own={row.trial_id for row in annotations.rows if row.reader == own},
            choice=choice,
            readers=count_readers(rows),
            lines=[
                MarkLine(row, choice.labels.get(row.setting_id, row.setting_id), row.reader == own)
                for row in newest[:_MAX_ROWS]
            ],
            more=len(newest) - _MAX_ROWS,
        )

    async def section(request: Request) -> Response:
        """The report's section: score by the marks, and agreement with intervals."""
        viewed = context.runs.find(request.path_params["run"])
        row = await run_in_threadpool(context.runs.row, viewed)
        opened = await run_in_threadpool(viewed.open)
        wanted = request.query_params.getlist("setting")
        choice = await run_in_threadpool(setting_choice, opened, wanted)
        job = ReportJob(viewed.named(opened), choice.chosen)
        answer = await context.contents.make(job, viewed.state(row.updated_at))
        if isinstance(answer, Content):
            parts = [part for part in answer.parts if part.anchor == _SECTION]
            answer = Content(parts) if parts else None
        return fragment(context, answer)

    async def change(request: Request) -> Response:
        context.require_marks()
        body = await request.body()
        wanted = _decode(body)
        key = request.path_params["run"]
        return JSONResponse(await run_in_threadpool(_change, context, key, wanted))

    def export(request: Request) -> Response:
        run = context.runs.find(request.path_params["run"]).open()
        form = request.path_params["form"]
        choice = setting_choice(run, request.query_params.getlist("setting"))
        rows = [row for row in whole_annotations(run.root) if choice.is_of(row.setting_id)]
        if form == "parquet":
            content, kind = annotation_bytes(rows), "application/vnd.apache.parquet"
        elif form == "jsonl":
            content = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
            kind = "application/jsonl"
        else:
            raise HTTPException(404)
        name = f"marks.{form}"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=kind, headers=headers)

    return [
        Route("/run/{run:run}/marks", show, methods=["GET"]),
        Route("/run/{run:run}/marks", change, methods=["POST"]),
        Route("/run/{run:run}/marks/section", section),
        Route("/run/{run:run}/marks.{form}", export),
    ]


def count_readers(rows: list[Annotation]) -> list[ReaderLine]:
    """What each reader said, by name."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        of = counts.setdefault(row.reader, Counter())
        of["" if row.mark is None else row.mark.value] += 1
        of["note"] += row.note is not None
    return [ReaderLine(r, of["pass"], of["fail"], of["note"]) for r, of in sorted(counts.items())]


def _decode(body: bytes) -> MarkChange:
    if len(body) > _MAX_BODY:
        raise HTTPException(413, "the note is too long")
    try:
        return msgspec.json.decode(body, type=MarkChange)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"no mark: {error}") from None


def _change(context: ViewContext, key: str, wanted: MarkChange) -> dict[str, object]:
    """Apply a change; what is said of the record then by this reader, and by how many others."""
    run = context.runs.find(key).open()
    reader = reader_name()
    edit = Edit(
        trial=_trial(run, wanted.trial_id),
        reader=reader,
        mark=wanted.mark,
        note=None if wanted.note == "" else wanted.note,
    )
    after = change_annotations(run.root, [edit])
    rows = [row for row in after.rows if row.trial_id == wanted.trial_id]
    own = next((row for row in rows if row.reader == reader), None)
    return {
        "trial_id": wanted.trial_id,
        "mark": None if own is None or own.mark is None else own.mark.value,
        "note": None if own is None else own.note,
        "reader": reader,
        "others": len(rows) - (own is not None),
        "set_aside": None if after.set_aside is None else after.set_aside.name,
    }


def _trial(run: Run, trial_id: str) -> TrialKey:
    """The record's keys: from an earlier mark where there is one.

    Raises:
        UnknownIdError: the run has no such record.
    """
    for row in read_annotations(run.root).rows:
        if row.trial_id == trial_id:
            return TrialKey(trial_id, row.prompt_id, row.setting_id, row.repeat)
    return find_key(run, trial_id)
