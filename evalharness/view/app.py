"""The application: the list of its pages, and what it answers where one fails."""

from __future__ import annotations

from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from evalharness.errors import (
    EvalharnessError,
    LostManifestError,
    RunNotFoundError,
    SchemaVersionError,
    StorageError,
    UnknownIdError,
)
from evalharness.report.words.sanitize import printable
from evalharness.view import static_files
from evalharness.view.context import ViewContext
from evalharness.view.pages import compare, live, marks, prompt, record, records, run, runs
from evalharness.view.security import Guard
from evalharness.view.settings import ViewSettings

#: The pages, in the order in which their addresses are tried.
PAGES = (runs, compare, live, marks, records, record, prompt, run)


def view_app(settings: ViewSettings) -> Starlette:
    """The application; ``state.context`` is the :class:`ViewContext` of its pages."""
    context = ViewContext(settings)
    routes = [route for page in PAGES for route in page.routes(context)]

    async def failed(request: Request, error: Exception) -> Response:
        return _error_page(context, request, error)

    app = Starlette(
        routes=[*static_files.routes(), *routes],
        middleware=[Middleware(Guard, settings=settings, csrf=context.csrf)],
        exception_handlers={HTTPException: failed, EvalharnessError: failed},
    )
    app.state.context = context
    return app


def _error_page(context: ViewContext, request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        status, message, hint = error.status_code, error.detail, None
    else:
        assert isinstance(error, EvalharnessError)
        typed = context.runs.as_typed
        status, message = _status(error), typed(error.message)
        hint = None if error.hint is None else typed(error.hint)
    if request.method not in ("GET", "HEAD"):  # a script asked, and shows what it is told
        words = message if hint is None else f"{message} → {hint}"
        return PlainTextResponse(printable(words), status)
    title = HTTPStatus(status).phrase
    return context.page("error.html", status=status, title=title, message=message, hint=hint)


def _status(error: EvalharnessError) -> int:
    if isinstance(error, StorageError | LostManifestError | SchemaVersionError):
        return HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, RunNotFoundError | UnknownIdError):
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.BAD_REQUEST
