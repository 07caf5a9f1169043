"""``/v1/batches``: OpenAI's form, also spoken by DashScope and others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evalharness.emulator.batches.batch_job import BatchJob, BatchLine, BatchPhase
from evalharness.emulator.batches.batch_runner import BatchRunner
from evalharness.emulator.batches.endpoint_guard import (
    EndpointGuard,
    json_response,
    missing,
    passed_on_headers,
)
from evalharness.emulator.batches.input_file import InputLimits, prompt_tokens, read_input_file
from evalharness.emulator.batches.openai_files import OpenAIFiles, StoredFile, list_object
from evalharness.emulator.batches.openai_objects import OpenAIBatch, batch_object, output_files
from evalharness.emulator.batches.paging import bad_parameter, page_after, page_limit
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import RequestRefusedError
from evalharness.emulator.validation.error_bodies import Problem

ENDPOINTS = ("/v1/chat/completions", "/v1/responses")
MAX_REQUESTS, MAX_BYTES = 50_000, 200 << 20
_MAX_PAIRS, _MAX_KEY, _MAX_VALUE = 16, 64, 512


class _Create(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a create call."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None
    output_expires_after: dict[str, Any] | None = None


class OpenAIBatches:
    """The batches, and their endpoints.

    ``answer`` gives the response to a create call that was carried out, or loses it.
    """

    def __init__(
        self,
        options: EmulatorOptions,
        guard: EndpointGuard,
        files: OpenAIFiles,
        runner: BatchRunner,
        answer: Callable[[Response], Response],
    ) -> None:
        self._options = options
        self._guard = guard
        self._files = files
        self._runner = runner
        self._answer = answer
        self._batches: dict[str, OpenAIBatch] = {}

    def routes(self) -> list[Route]:
        """The endpoints."""
        route = self._guard.route
        return [
            route("POST", "/v1/batches", self._create),
            route("GET", "/v1/batches", self._list),
            route("GET", "/v1/batches/{batch_id}", self._retrieve),
            route("POST", "/v1/batches/{batch_id}/cancel", self._cancel),
        ]

    async def _create(self, request: Request, account: str) -> Response:
        body = _create_body(await request.body())
        stored = self._files.get(account, body.input_file_id)
        if stored is None:
            raise missing("File object", body.input_file_id)
        if stored.purpose != "batch":
            raise bad_parameter("input_file_id", "expected a file with the purpose batch")
        batch = self._new_batch(request, account, body, stored)
        self._batches[batch.object_id] = batch
        self._runner.start(batch.job)
        return self._answer(json_response(batch_object(batch)))

    def _new_batch(
        self, request: Request, account: str, body: _Create, stored: StoredFile
    ) -> OpenAIBatch:
        job = BatchJob(
            self._guard.new_id("batch_"),
            account,
            ordinal=len(self._batches),
            headers=passed_on_headers(request),
            read_lines=lambda: self._read_lines(batch, stored),
            error_body=self._guard.error_body(body.endpoint),
        )
        batch = OpenAIBatch(
            job=job,
            endpoint=body.endpoint,
            input_file_id=stored.object_id,
            metadata=body.metadata,
        )
        job.when_ended = lambda: self._write_files(batch)
        return batch

    def _read_lines(self, batch: OpenAIBatch, stored: StoredFile) -> list[BatchLine]:
        options = self._options
        enqueued = sum(
            other.job.enqueued_tokens
            for other in self._batches.values()
            if other.job.account == batch.job.account and other.job.phase is not BatchPhase.ENDED
        )
        most = options.batch_max_enqueued_tokens
        limits = InputLimits(
            requests=options.batch_max_requests or MAX_REQUESTS,
            bytes=options.batch_max_bytes or MAX_BYTES,
            tokens=None if most is None else most - enqueued,
        )
        lines = read_input_file(stored.content, batch.endpoint, limits)
        batch.job.enqueued_tokens = prompt_tokens(lines)
        return lines

    def _write_files(self, batch: OpenAIBatch) -> None:
        output, errors = output_files(batch.job, self._guard.new_id)
        if output:
            batch.output_file_id = self._add_file(batch, "output", output)
        if errors:
            batch.error_file_id = self._add_file(batch, "error", errors)

    def _add_file(self, batch: OpenAIBatch, kind: str, content: bytes) -> str:
        name = f"{batch.object_id}_{kind}.jsonl"
        return self._files.add(batch.job.account, name, "batch_output", content).object_id

    async def _list(self, request: Request, account: str) -> Response:
        query = request.query_params
        limit = page_limit(query, 20, 100)
        batches = [batch for batch in self._batches.values() if batch.job.account == account]
        shown, more = page_after(batches[::-1], query.get("after"), limit)
        return json_response(list_object([batch_object(batch) for batch in shown], more=more))

    async def _retrieve(self, request: Request, account: str) -> Response:
        return json_response(batch_object(self._batch(request, account)))

    async def _cancel(self, request: Request, account: str) -> Response:
        batch = self._batch(request, account)
        if not batch.job.can_cancel and batch.status != "cancelling":
            text = f"Cannot cancel a batch with status '{batch.status}'."
            raise RequestRefusedError(Problem(status=409, message=text))
        batch.job.cancel()
        return json_response(batch_object(batch))

    def _batch(self, request: Request, account: str) -> OpenAIBatch:
        name: str = request.path_params["batch_id"]
        batch = self._batches.get(name)
        if batch is None or batch.job.account != account:
            raise missing("batch", name)
        return batch


def _create_body(raw: bytes) -> _Create:
    """The body of a create call.

    Raises:
        RequestRefusedError: a 400 that names the parameter.
    """
    try:
        body = msgspec.json.decode(raw, type=_Create)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RequestRefusedError(Problem(status=400, message=f"Invalid batch: {error}.")) from None
    if body.endpoint not in ENDPOINTS:
        raise bad_parameter("endpoint", f"expected one of {', '.join(ENDPOINTS)}")
    if body.completion_window != "24h":
        raise bad_parameter("completion_window", "expected 24h")
    pairs = body.metadata or {}
    if len(pairs) > _MAX_PAIRS:
        raise bad_parameter("metadata", f"expected at most {_MAX_PAIRS} pairs, got {len(pairs)}")
    for key, value in pairs.items():
        if len(key) > _MAX_KEY or len(value) > _MAX_VALUE:
            text = f"a key has at most {_MAX_KEY} characters, a value {_MAX_VALUE}"
            raise bad_parameter("metadata", text)
    return body
