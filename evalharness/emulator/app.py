"""The emulator as one ASGI application: three protocols, and everything around them."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from evalharness.emulator import logs
from evalharness.emulator.batches.batch_service import BatchService
from evalharness.emulator.delivery.connection import Connections
from evalharness.emulator.dialects import dialects_by_path
from evalharness.emulator.dialects.dialect import Dialect
from evalharness.emulator.ledger import Ledger
from evalharness.emulator.limiter import SlidingWindowLimiter
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.pipeline import AnswerPipeline
from evalharness.emulator.prometheus import prometheus_text
from evalharness.emulator.request_intake import is_authorised
from evalharness.emulator.validation.error_bodies import Problem, error_response, retry_headers
from evalharness.emulator.validation.openapi_schema import request_schema
from evalharness.emulator.validation.validation_hints import Hint

Handler = Callable[[Request], Awaitable[Response]]


class _Endpoint:
    """The route of a protocol, as the router takes it."""

    def __init__(self, pipeline: AnswerPipeline, dialect: Dialect) -> None:
        self._pipeline = pipeline
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pipeline.serve(self._dialect, scope, receive, send)


class Emulator:
    """The application. One event loop, one process; its state is the ledger.

    Raises:
        ConfigError: a file that the options name cannot be read as written.
    """

    def __init__(self, options: EmulatorOptions) -> None:
        self.ledger = Ledger(options.ledger)
        self.connections = Connections()
        self._options = options
        self._pipeline = AnswerPipeline(options, self.ledger, self.connections)
        self._dialects = dialects_by_path(options)
        self._logs_limiter = SlidingWindowLimiter(options.logs_rpm, None)
        self._ids = random.Random(f"evalharness emulator requests {options.seed}")
        batches = BatchService(self, options, self.connections)
        self._rest = Starlette(
            routes=[
                *(
                    Route(path, _Endpoint(self._pipeline, dialect), methods=["POST"])
                    for path, dialect in self._dialects.items()
                ),
                Route("/v1/models", self._require_key(self._models)),
                Route("/v1/models/{model:path}", self._require_key(self._model)),
                Route("/v2/logs", self._require_key(self._logs)),
                *batches.routes,
                Route("/healthz", _healthz),
                Route("/health", _healthz),
                Route("/metrics", self._metrics),
                Route("/_emulator/ledger", self._show_ledger),
                Route("/_emulator/stats", self._show_stats),
            ],
            exception_handlers={HTTPException: self._http_exception},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; those for answers skip the router, for speed."""
        dialect = self._dialects.get(scope["path"]) if scope["type"] == "http" else None
        if dialect is not None and scope["method"] == "POST":
            await self._pipeline.serve(dialect, scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    def _require_key(self, handler: Handler) -> Handler:
        """The handler, answered only with the key that chat completions need."""

        async def with_key(request: Request) -> Response:
            headers: dict[bytes, bytes] = dict(request.scope["headers"])
            if not is_authorised(headers, self._options.require_key, in_own=True):
                return self._problem(request, Problem(status=401, code="invalid_api_key"))
            return await handler(request)

        return with_key

    async def _models(self, _: Request) -> Response:
        return JSONResponse(
            {"object": "list", "data": [_model_object(name) for name in _model_names()]}
        )

    async def _model(self, request: Request) -> Response:
        name: str = request.path_params["model"]
        if name not in _model_names():
            problem = Problem(status=404, code="model_not_found", message=f"No model {name!r}.")
            return self._problem(request, problem)
        return JSONResponse(_model_object(name))

    async def _logs(self, request: Request) -> Response:
        refusal = self._logs_limiter.admit(time.monotonic(), 0)
        if refusal is not None:
            headers = retry_headers(self._options.limit_retry_after, refusal.retry_after_s)
            return self._problem(request, Problem(status=429, headers=headers))
        try:
            query = request.query_params.multi_items()
            return JSONResponse(
                logs.log_page(self.ledger.entries, query, self._options.logs_delay_s)
            )
        except logs.BadQuery as error:
            path, _, message = str(error).partition(": ")
            text = f"Query validation error. {error}"
            problem = Problem(status=400, message=text, hints=[Hint(path, message)])
            return self._problem(request, problem)

    async def _show_ledger(self, _: Request) -> Response:
        return Response(self.ledger.jsonl(), media_type="application/jsonl")

    async def _metrics(self, _: Request) -> Response:
        return Response(
            prometheus_text(self.ledger), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    async def _show_stats(self, _: Request) -> Response:
        self.ledger.connections = len(self.connections)
        self.ledger.max_connections = self.connections.max_open
        return JSONResponse(self.ledger.stats())

    async def _http_exception(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        extra = [(k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items()]
        return self._problem(request, Problem(status=error.status_code, headers=extra))

    def _problem(self, request: Request, problem: Problem) -> Response:
        request_id = str(uuid.UUID(int=self._ids.getrandbits(128), version=4))
        dialect = self._dialects.get(request.url.path)
        if dialect is None:
            headers, body = error_response(problem, self._options, request.url.path, request_id)
        else:
            headers, body = dialect.error(problem, request_id)
        return Response(
            body, problem.status, {name.decode(): value.decode() for name, value in headers}
        )


def _model_names() -> list[str]:
    """The models of the OpenAPI document, with and without the maker's prefix."""
    names: list[str] = request_schema()["properties"]["model"]["enum"]
    return [*names, *(name.rpartition("/")[2] for name in names)]


def _model_object(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "emulator"}


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})
