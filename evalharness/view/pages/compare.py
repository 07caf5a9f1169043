"""``/compare?run=A&run=B``: runs compared with the first of them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from evalharness.errors import ConfigError
from evalharness.view.content.jobs import Answer, CompareJob
from evalharness.view.context import ViewContext
from evalharness.view.links import compare_url
from evalharness.view.pages.content_parts import fragment, markup

_MAX_RUNS = 20


def routes(context: ViewContext) -> list[Route]:
    """The addresses of a comparison and of its content."""

    async def show(request: Request) -> Response:
        if request.query_params.get("order") == "date":
            keys = request.query_params.getlist("run")
            return RedirectResponse(await run_in_threadpool(_by_date, context, keys), 303)
        keys, job, state = await run_in_threadpool(_read, context, request)
        answer: Answer | None = context.contents.find(job, state)
        if answer is None and "whole" in request.query_params:
            answer = await context.contents.make(job, state)
        address = compare_url(*keys)
        return context.page(
            "compare.html",
            runs=keys,
            content_url=address.replace("/compare?", "/compare/content?", 1),
            whole_url=f"{address}&whole=1",
            swapped_url=compare_url(*reversed(keys)),
            answer=answer,
            parts=markup(answer),
        )

    async def content(request: Request) -> Response:
        _, job, state = await run_in_threadpool(_read, context, request)
        return fragment(context, await context.contents.make(job, state))

    return [Route("/compare", show), Route("/compare/content", content)]


def _by_date(context: ViewContext, keys: Sequence[str]) -> str:
    """The address with the oldest run first, against which the others are compared."""
    rows = [(context.runs.row(context.runs.find(key)).created_at or "", key) for key in keys]
    return compare_url(*(key for _, key in sorted(rows)))


def _read(context: ViewContext, request: Request) -> tuple[list[str], CompareJob, object]:
    keys = request.query_params.getlist("run")
    if not 2 <= len(keys) <= _MAX_RUNS or len(set(keys)) < len(keys):
        raise ConfigError(
            f"a comparison is of 2 to {_MAX_RUNS} runs, each once",
            hint="tick them in the list of runs",
        )
    runs = [context.runs.find(key) for key in keys]
    opened = [run.open() for run in runs]
    named = tuple(run.named(each) for run, each in zip(runs, opened, strict=True))
    return keys, CompareJob(named), tuple(each.manifest.updated_at for each in opened)
