"""``/v1/messages/batches``: Anthropic's form, with requests in the call and results by URL."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evalharness.emulator.batches.batch_job import (
    BatchJob,
    BatchLine,
    BatchPhase,
    LineFate,
    LineResult,
)
from evalharness.emulator.batches.batch_runner import BatchRunner
from evalharness.emulator.batches.endpoint_guard import (
    EndpointGuard,
    json_response,
    missing,
    passed_on_headers,
)
from evalharness.emulator.batches.paging import page_after, page_before, page_limit
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import RequestRefusedError
from evalharness.emulator.validation.error_bodies import Headers, Problem, status_phrase

PATH = "/v1/messages/batches"
LINE_PATH = "/v1/messages"
MAX_REQUESTS, MAX_BYTES = 100_000, 256 << 20
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    custom_id: str
    params: msgspec.Raw


class _Create(msgspec.Struct, forbid_unknown_fields=True):
    requests: list[_Request]


class MessageBatches:
    """The message batches, and their endpoints.

    ``answer`` gives the response to a create call that was carried out, or loses it.
    """

    def __init__(
        self,
        options: EmulatorOptions,
        guard: EndpointGuard,
        runner: BatchRunner,
        answer: Callable[[Response], Response],
    ) -> None:
        self._most_requests = options.batch_max_requests or MAX_REQUESTS
        self._most_bytes = options.batch_max_bytes or MAX_BYTES
        self._guard = guard
        self._runner = runner
        self._answer = answer
        self._jobs: dict[str, BatchJob] = {}
        self._created = 0

    def routes(self) -> list[Route]:
        """The endpoints."""
        route = self._guard.route
        return [
            route("POST", PATH, self._create),
            route("GET", PATH, self._list),
            route("GET", PATH + "/{batch_id}", self._retrieve),
            route("GET", PATH + "/{batch_id}/results", self._results),
            route("POST", PATH + "/{batch_id}/cancel", self._cancel),
            route("DELETE", PATH + "/{batch_id}", self._delete),
        ]

    async def _create(self, request: Request, account: str) -> Response:
        lines = self._lines(await self._body(request))
        job = BatchJob(
            self._guard.new_id("msgbatch_"),
            account,
            ordinal=self._created,
            headers=passed_on_headers(request),
            read_lines=lambda: lines,
            error_body=self._guard.error_body(LINE_PATH),
        )
        job.lines = lines
        self._created += 1
        self._jobs[job.object_id] = job
        self._runner.start(job)
        return self._answer(json_response(_batch_object(job, request)))

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self._most_bytes:
                text = f"Request exceeds the maximum size of {self._most_bytes} bytes"
                raise RequestRefusedError(Problem(status=413, message=text))
        return bytes(body)

    def _lines(self, raw: bytes) -> list[BatchLine]:
        try:
            requests = msgspec.json.decode(raw, type=_Create).requests
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise _invalid(f"requests: {error}") from None
        if not requests:
            raise _invalid("requests: at least one request is required")
        if len(requests) > self._most_requests:
            text = f"requests: {len(requests)} requests, at most {self._most_requests} are allowed"
            raise _invalid(text)
        names: set[str] = set()
        for position, request in enumerate(requests):
            where = f"requests.{position}"
            if not _CUSTOM_ID.fullmatch(request.custom_id):
                raise _invalid(
                    f"{where}.custom_id: must match the pattern '^{_CUSTOM_ID.pattern}$'"
                )
            if request.custom_id in names:
                raise _invalid(f"{where}.custom_id: '{request.custom_id}' is not unique")
            if not bytes(request.params).startswith(b"{"):
                raise _invalid(f"{where}.params: must be an object")
            names.add(request.custom_id)
        return [BatchLine(r.custom_id, LINE_PATH, bytes(r.params)) for r in requests]

    async def _list(self, request: Request, account: str) -> Response:
        query = request.query_params
        limit = page_limit(query, 20, 1000)
        before, after = query.get("before_id"), query.get("after_id")
        if before is not None and after is not None:
            raise _invalid("after_id: cannot be used together with before_id")
        jobs = [job for job in self._jobs.values() if job.account == account][::-1]
        if before is None:
            shown, more = page_after(jobs, after, limit)
        else:
            shown, more = page_before(jobs, before, limit)
        page = {
            "data": [_batch_object(job, request) for job in shown],
            "has_more": more,
            "first_id": shown[0].object_id if shown else None,
            "last_id": shown[-1].object_id if shown else None,
        }
        return json_response(page)

    async def _retrieve(self, request: Request, account: str) -> Response:
        return json_response(_batch_object(self._job(request, account), request))

    async def _results(self, request: Request, account: str) -> Response:
        job = self._job(request, account)
        if job.phase is not BatchPhase.ENDED:
            text = f"Batch {job.object_id} has no available results: it has not ended."
            raise RequestRefusedError(Problem(status=404, message=text))
        rows = (msgspec.json.encode(_result_object(job, result)) for result in job.written)
        return Response(b"".join(row + b"\n" for row in rows), media_type="application/x-jsonl")

    async def _cancel(self, request: Request, account: str) -> Response:
        job = self._job(request, account)
        if job.phase is BatchPhase.ENDED:
            raise _invalid(f"Batch {job.object_id} cannot be canceled: it has ended.")
        if job.can_cancel:
            job.cancel()
        return json_response(_batch_object(job, request))

    async def _delete(self, request: Request, account: str) -> Response:
        job = self._job(request, account)
        if job.phase is not BatchPhase.ENDED:
            raise _invalid(f"Batch {job.object_id} cannot be deleted: cancel it first.")
        del self._jobs[job.object_id]
        return json_response({"id": job.object_id, "type": "message_batch_deleted"})

    def _job(self, request: Request, account: str) -> BatchJob:
        name: str = request.path_params["batch_id"]
        job = self._jobs.get(name)
        if job is None or job.account != account:
            raise missing("message batch", name)
        return job


def message_error(problem: Problem, path: str, request_id: str) -> tuple[Headers, bytes]:
    """Headers and body of an error in Anthropic's words."""
    del path
    kind = _TYPES.get(problem.status, "api_error" if problem.status >= 500 else "error")
    content = {
        "type": "error",
        "error": {"type": kind, "message": problem.message or status_phrase(problem.status)},
        "request_id": request_id,
    }
    headers = [(b"content-type", b"application/json"), (b"request-id", request_id.encode())]
    return [*headers, *problem.headers], msgspec.json.encode(content)


def _invalid(message: str) -> RequestRefusedError:
    return RequestRefusedError(Problem(status=400, message=message))


def _batch_object(job: BatchJob, request: Request) -> dict[str, Any]:
    has_ended = job.phase is BatchPhase.ENDED
    status = "ended" if has_ended else "canceling" if job.canceling else "in_progress"
    counts = {"processing": 0 if has_ended else len(job.lines)}
    for fate in LineFate:
        counts[fate.value] = job.counts()[fate] if has_ended else 0
    created = job.moments["created"]
    url = f"{request.base_url}{PATH[1:]}/{job.object_id}/results"
    return {
        "id": job.object_id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": counts,
        "created_at": _timestamp(created),
        "expires_at": _timestamp(created, timedelta(days=1)),
        "ended_at": _timestamp(job.moments.get("ended")),
        "cancel_initiated_at": _timestamp(job.moments.get("cancel")),
        "archived_at": None,
        "results_url": url if has_ended else None,
    }


def _result_object(job: BatchJob, result: LineResult) -> dict[str, Any]:
    content: dict[str, Any] = {"type": result.fate.value}
    if result.fate is LineFate.SUCCEEDED:
        content["message"] = msgspec.Raw(result.body or b"null")
    elif result.fate is LineFate.ERRORED:
        body = result.body
        if body is None:
            body = job.error_body(Problem(status=500, message="Internal server error"))
        content["error"] = msgspec.Raw(body)
    return {"custom_id": result.custom_id, "result": content}


def _timestamp(at_ns: int | None, later: timedelta = timedelta()) -> str | None:
    if at_ns is None:
        return None
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1000) + later
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
