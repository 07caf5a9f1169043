"""How OpenAI writes a batch, and the lines of its output and error files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from evalharness.emulator.batches.batch_job import BatchJob, BatchPhase, LineFate, LineResult

WINDOW_S = 86_400
_NS = 1_000_000_000
_NOT_SERVED = {
    LineFate.EXPIRED: (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    ),
    LineFate.CANCELED: (
        "batch_cancelled",
        "The batch was cancelled before this request was executed.",
    ),
    LineFate.ERRORED: ("server_error", "The request failed without an answer."),
}


class OpenAIBatch(msgspec.Struct, kw_only=True):
    """A batch with what OpenAI's form adds to it."""

    job: BatchJob
    endpoint: str
    input_file_id: str
    metadata: dict[str, str] | None
    output_file_id: str | None = None
    error_file_id: str | None = None

    @property
    def object_id(self) -> str:
        """The batch's id."""
        return self.job.object_id

    @property
    def status(self) -> str:
        """One of OpenAI's eight."""
        job = self.job
        if job.phase is not BatchPhase.ENDED:
            if job.canceling:
                return "cancelling"
            return "in_progress" if job.phase is BatchPhase.RUNNING else job.phase.value
        if job.faults:
            return "failed"
        if job.canceling:
            return "cancelled"
        return "expired" if job.counts()[LineFate.EXPIRED] else "completed"


def batch_object(batch: OpenAIBatch) -> dict[str, Any]:
    """The batch as it is now."""
    job, status, counts = batch.job, batch.status, batch.job.counts()
    created = _seconds(job, "created") or 0
    ended = _seconds(job, "ended")
    faults = [
        {"code": fault.code, "line": fault.line, "message": fault.message, "param": fault.param}
        for fault in job.faults
    ]
    return {
        "id": job.object_id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": faults} if faults else None,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": created,
        "in_progress_at": _seconds(job, "running"),
        "expires_at": created + WINDOW_S,
        "finalizing_at": _seconds(job, "finalizing"),
        "completed_at": ended if status == "completed" else None,
        "failed_at": ended if status == "failed" else None,
        "expired_at": ended if status == "expired" else None,
        "cancelling_at": _seconds(job, "cancel"),
        "cancelled_at": ended if status == "cancelled" else None,
        "request_counts": {
            "total": len(job.lines),
            "completed": counts[LineFate.SUCCEEDED],
            "failed": counts[LineFate.ERRORED],
        },
        "metadata": batch.metadata,
    }


def output_files(job: BatchJob, new_id: Callable[[str], str]) -> tuple[bytes, bytes]:
    """The output file and the error file, each empty where it has no line."""
    output, errors = bytearray(), bytearray()
    for result in job.written:
        part = output if result.fate is LineFate.SUCCEEDED else errors
        part += msgspec.json.encode(_line_object(result, new_id)) + b"\n"
    return bytes(output), bytes(errors)


def _line_object(result: LineResult, new_id: Callable[[str], str]) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": new_id("batch_req_"),
        "custom_id": result.custom_id,
        "response": None,
        "error": None,
    }
    if result.body is None:
        code, message = _NOT_SERVED[result.fate]
        line["error"] = {"code": code, "message": message}
    else:
        line["response"] = {
            "status_code": result.status,
            "request_id": new_id("req_"),
            "body": msgspec.Raw(result.body),
        }
    return line


def _seconds(job: BatchJob, moment: str) -> int | None:
    at_ns = job.moments.get(moment)
    return None if at_ns is None else at_ns // _NS
