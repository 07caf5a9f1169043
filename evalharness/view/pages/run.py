"""``/run/{run}?setting=…``: one run, its facts, and the report of all or of some settings."""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evalharness.listing.run_row import DAMAGED, ListedRun
from evalharness.listing.table import cost_text, records_text, share_text
from evalharness.view.content.jobs import Answer, ReportJob
from evalharness.view.context import ViewContext
from evalharness.view.pages.content_parts import fragment, markup
from evalharness.view.pages.record_export import FORMS
from evalharness.view.pages.setting_choice import SettingChoice, setting_choice
from evalharness.view.runs import ViewedRun


class RunPage(NamedTuple):
    """What is read of a run for its page."""

    run: ViewedRun
    row: ListedRun
    job: ReportJob | None
    choice: SettingChoice


def routes(context: ViewContext) -> list[Route]:
    """The addresses of a run and of its sections."""

    async def show(request: Request) -> Response:
        page = await run_in_threadpool(_read, context, request)
        answer: Answer | None = None
        state = page.run.state(page.row.updated_at)
        if page.job is not None:
            answer = context.contents.find(page.job, state)
            if answer is None and "whole" in request.query_params:
                answer = await context.contents.make(page.job, state)
        return context.page(
            "run.html",
            run=page.run.key,
            row=page.row,
            facts=_facts(page.row),
            choice=page.choice,
            forms=FORMS,
            whole="whole" in request.query_params,
            job=page.job,
            answer=answer,
            parts=markup(answer),
            verify=shlex.join(["evalharness", "verify", page.row.run]),
        )

    async def sections(request: Request) -> Response:
        page = await run_in_threadpool(_read, context, request)
        if page.job is None:
            return fragment(context, None)
        return fragment(
            context, await context.contents.make(page.job, page.run.state(page.row.updated_at))
        )

    return [
        Route("/run/{run:run}", show),
        Route("/run/{run:run}/sections", sections),
    ]


def _read(context: ViewContext, request: Request) -> RunPage:
    run = context.runs.find(request.path_params["run"])
    row = context.runs.row(run)
    if row.status == DAMAGED or not row.records:
        return RunPage(run, row, None, SettingChoice({}, frozenset(), ()))
    opened = run.open()
    choice = setting_choice(opened, request.query_params.getlist("setting"), reported=True)
    return RunPage(run, row, ReportJob(run.named(opened), choice.chosen), choice)


def _facts(row: ListedRun) -> list[tuple[str, Any]]:
    facts = [
        ("status", row.status),
        ("begun (UTC)", _instant(row.created_at)),
        ("written (UTC)", _instant(row.updated_at)),
        ("models", ", ".join(row.models)),
        ("records", records_text(row)),
        ("errors", None if row.errors is None else f"{row.errors:,}"),
        ("score", share_text(row.score)),
        ("agreement", share_text(row.agreement)),
        ("cost", cost_text(row)),
        ("tags", ", ".join(row.tags)),
        ("note", row.note),
    ]
    return [(name, value) for name, value in facts if value not in (None, "", "—")]


def _instant(text: str | None) -> str | None:
    return None if text is None else text[:16].replace("T", " ")
