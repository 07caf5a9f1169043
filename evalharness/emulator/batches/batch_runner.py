"""Carrying out batches in the background, line by line, through the emulator's own endpoints."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message

from evalharness.emulator.batch_context import BatchRequest, serving_batch_request
from evalharness.emulator.batches.batch_job import (
    BatchInputError,
    BatchJob,
    BatchLine,
    BatchPhase,
    LineFate,
    LineResult,
)
from evalharness.emulator.batches.line_draws import LineDraw, LineDraws
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.validation.error_bodies import Headers, Problem

# Shares of `batch_delay_s` that a batch has been validated and all its lines have been served at.
_VALIDATED_AT, _SERVED_AT = 0.05, 0.95
_LINES_AT_ONCE = 64
_FAILURE = (b"x-emulator-fault", b"status=500")
_LOG = logging.getLogger("uvicorn.error")


class BatchRunner:
    """Runs each batch in a task of its own, which spreads its lines over the batch's time."""

    def __init__(self, app: ASGIApp, options: EmulatorOptions) -> None:
        self._app = app
        self._options = options
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, job: BatchJob) -> None:
        """Begin a batch; it starts to validate once the loop is free."""
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: BatchJob) -> None:
        began, delay = asyncio.get_running_loop().time(), self._options.batch_delay_s
        await job.wait_until(began + _VALIDATED_AT * delay)
        try:
            job.lines = job.read_lines()
        except BatchInputError as error:
            job.faults = error.faults
            job.enter(BatchPhase.ENDED)
            return
        job.enter(BatchPhase.RUNNING)
        draws = LineDraws(self._options, job.ordinal, len(job.lines))
        await self._serve_lines(job, draws, began)
        served = len(job.results)
        job.results += [
            LineResult(custom_id=line.custom_id, fate=LineFate.CANCELED)
            for line in job.lines[served:]
        ]
        job.enter(BatchPhase.FINALIZING)
        if not job.canceling:
            await job.wait_until(began + delay)
        job.written = draws.written(job.results)
        job.enter(BatchPhase.ENDED)

    async def _serve_lines(self, job: BatchJob, draws: LineDraws, began: float) -> None:
        """Serve each line when it is due, until all are or the batch is canceled."""
        clock, delay = asyncio.get_running_loop().time, self._options.batch_delay_s
        total = len(job.lines)

        def due(position: int) -> float:
            share = (position + 1) / total
            return began + delay * (_VALIDATED_AT + (_SERVED_AT - _VALIDATED_AT) * share)

        first = 0
        while first < total and not await job.wait_until(due(first)):
            end = first + 1
            while end < min(total, first + _LINES_AT_ONCE) and due(end) <= clock():
                end += 1
            job.results += await asyncio.gather(
                *(self._line(job, job.lines[i], draws.lines[i]) for i in range(first, end))
            )
            first = end

    async def _line(self, job: BatchJob, line: BatchLine, draw: LineDraw) -> LineResult:
        if draw.expires:
            return LineResult(custom_id=line.custom_id, fate=LineFate.EXPIRED)
        if _wants_stream(line.body):
            text = "Streaming is not supported in a batch."
            problem = Problem(status=400, code="unsupported_parameter", message=text)
            return LineResult(
                custom_id=line.custom_id,
                fate=LineFate.ERRORED,
                status=400,
                body=job.error_body(problem),
            )
        headers = [*job.headers, _FAILURE] if draw.fails else job.headers
        with serving_batch_request(BatchRequest(job.object_id, line.custom_id)):
            status, body = await _answer(self._app, line, headers)
        fine = status == 200 and body is not None
        return LineResult(
            custom_id=line.custom_id,
            fate=LineFate.SUCCEEDED if fine else LineFate.ERRORED,
            status=status,
            body=body,
        )


async def _answer(
    app: ASGIApp, line: BatchLine, headers: Headers
) -> tuple[int | None, bytes | None]:
    """The endpoint's status and JSON; None for a connection that broke, and for other bytes."""
    requests: list[Message] = [{"type": "http.request", "body": line.body, "more_body": False}]
    status: int | None = None
    parts: list[bytes] = []

    async def receive() -> Message:
        return requests.pop() if requests else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": line.url,
        "raw_path": line.url.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [*headers, (b"content-type", b"application/json")],
        "client": None,  # no connection that a fault could break
        "server": None,
    }
    try:
        await app(scope, receive, send)
    except Exception:
        # As the server treats any other request: the failure is logged, and the client sees a 500.
        _LOG.exception("a line of a batch failed")
        return 500, None
    return status, _json_line(b"".join(parts))


def _json_line(body: bytes) -> bytes | None:
    """A body of JSON without line breaks; None for other bytes."""
    try:
        value: Any = msgspec.json.decode(body)
        return msgspec.json.encode(value) if b"\n" in body else body
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


class _Streaming(msgspec.Struct):
    stream: msgspec.Raw = msgspec.Raw(b"false")


def _wants_stream(body: bytes) -> bool:
    try:
        return bytes(msgspec.json.decode(body, type=_Streaming).stream) == b"true"
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False  # the endpoint says what is wrong with it
