"""What every batch endpoint has: an account, refusals in its protocol's words, ids by seed."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evalharness.emulator.batches.account import request_account
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import RequestRefusedError
from evalharness.emulator.validation.error_bodies import Headers, Problem

AccountHandler = Callable[[Request, str], Awaitable[Response]]
ErrorWriter = Callable[[Problem, str, str], tuple[Headers, bytes]]  # problem, path, request id
# What a line's request takes over from the call that created its batch.
_PASSED_ON = (b"authorization", b"x-api-key", b"anthropic-version", b"anthropic-beta")


class EndpointGuard:
    """Makes the routes of one protocol."""

    def __init__(self, options: EmulatorOptions, name: str, error: ErrorWriter) -> None:
        self._required = options.require_key
        self._error = error
        self._ids = random.Random(f"evalharness emulator {name} ids {options.seed}")

    def route(self, method: str, path: str, handler: AccountHandler) -> Route:
        """The route of a handler, which is told whose request it is."""

        async def endpoint(request: Request) -> Response:
            try:
                account = request_account(request.headers, self._required)
                return await handler(request, account)
            except RequestRefusedError as refused:
                headers, body = self._error(refused.problem, request.url.path, self.new_id("req_"))
                texts = {name.decode(): value.decode() for name, value in headers}
                return Response(body, refused.problem.status, texts)

        return Route(path, endpoint, methods=[method])

    def new_id(self, prefix: str) -> str:
        """An id nobody has yet."""
        return f"{prefix}{self._ids.getrandbits(96):024x}"

    def error_body(self, path: str) -> Callable[[Problem], bytes]:
        """How a refusal of a line sent to ``path`` is worded."""
        return lambda problem: self._error(problem, path, self.new_id("req_"))[1]


def json_response(content: object) -> Response:
    """An object as the body of a 200."""
    return Response(msgspec.json.encode(content), media_type="application/json")


def passed_on_headers(request: Request) -> Headers:
    """The headers of a create call that its lines are sent with."""
    return [(name, value) for name, value in request.headers.raw if name in _PASSED_ON]


def missing(what: str, name: str) -> RequestRefusedError:
    """A 404; what belongs to another key is not there, either."""
    return RequestRefusedError(Problem(status=404, message=f"No such {what}: {name}."))
