"""Files and batches as OpenAI has them: ``/files``, ``/batches``, ``/files/{id}/content``.

Source: the types of openai-python (``types/batch.py``, ``batch_create_params.py``,
``batch_list_params.py``, ``file_create_params.py``) and the Batch API guide of OpenAI; DashScope's
is of the same form. A line has ``response`` (``status_code``, ``body``) or ``error`` (``code``,
``message``); requests that ran out of time have the code ``batch_expired``, in the file of errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from evalharness.batch.wire import (
    BatchApi,
    BatchFacts,
    Call,
    ResultLine,
    as_dict,
    as_number,
    as_text,
    error_body,
    file_pieces,
)
from evalharness.config.batch import BatchRules
from evalharness.http.files import FileBody
from evalharness.records import ErrorKind
from evalharness.runner.queue import attempt_key, client_request_id
from evalharness.store.journal.batch_files import BatchState

_PAGE = 100
_MARK_KEY = "evalharness_token"
_ENDED = ("completed", "failed", "expired", "cancelled", "canceled")
_UNSERVED = {
    "batch_expired": ErrorKind.EXPIRED,
    "batch_cancelled": ErrorKind.CANCELLED,
    "batch_canceled": ErrorKind.CANCELLED,
}
_MISSING = {
    "expired": ErrorKind.EXPIRED,
    "cancelled": ErrorKind.CANCELLED,
    "canceled": ErrorKind.CANCELLED,
}


class _Line(msgspec.Struct):
    custom_id: str
    response: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class _Response(msgspec.Struct):
    status_code: Any = None
    body: msgspec.Raw = msgspec.Raw(b"null")


_line = msgspec.json.Decoder(_Line)
_response = msgspec.json.Decoder(_Response)


class OpenAiBatches(BatchApi):
    """A file is uploaded, a batch is made of it, and its results are files again."""

    name = "openai"
    list_path = f"/batches?limit={_PAGE}"
    after_name = "after"

    def custom_id(self, trial_id: str, attempt: int, token: str) -> str:
        """The id that the attempt has everywhere: the batch itself carries the token."""
        return client_request_id(attempt_key(trial_id, attempt))

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:
        """A request with its method and address, which has the version always."""
        return msgspec.json.encode(
            {
                "custom_id": custom_id,
                "method": "POST",
                "url": f"/v1{path}",
                "body": msgspec.Raw(body),
            }
        )

    def upload(self, state: BatchState, file: Path) -> Call:
        """The file as a form of two fields."""
        boundary = f"evalharness-{state.token}"
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\ncontent-disposition: form-data; name="file"; '
            f'filename="evalharness-{state.token}.jsonl"\r\n'
            "content-type: application/jsonl\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()

        def pieces() -> Iterator[bytes]:
            yield head
            yield from file_pieces(file)
            yield tail

        body = FileBody(len(head) + state.bytes + len(tail), pieces)
        return Call("/files", {"content-type": f"multipart/form-data; boundary={boundary}"}, body)

    def create(self, state: BatchState, file: Path, path: str, rules: BatchRules) -> Call:
        """A batch of the uploaded file; its token and hash are kept with it."""
        content = {
            "input_file_id": state.file_id,
            "endpoint": f"/v1{path}",
            "completion_window": rules.completion_window,
            "metadata": {_MARK_KEY: state.token, "evalharness_sha256": state.sha256},
        }
        return Call("/batches", {"content-type": "application/json"}, msgspec.json.encode(content))

    def read_batch(self, value: Any) -> BatchFacts:
        """A batch from its JSON."""
        top = as_dict(value)
        batch_id, status = as_text(top.get("id")), as_text(top.get("status"))
        if batch_id is None or status is None:
            raise ValueError("no id and status of a batch")
        counts, word = as_dict(top.get("request_counts")), status.lower()
        errors = as_dict(top.get("errors")).get("data")
        problems = [as_dict(e) for e in errors] if isinstance(errors, list) else []  # pyright: ignore[reportUnknownVariableType]
        is_ended = word in _ENDED
        # Where several instants are given, only the one of this end is.
        ended_at = next(
            (s for w in (*_ENDED, "finalizing") if (s := as_number(top.get(f"{w}_at")))), None
        )
        return BatchFacts(
            batch_id=batch_id,
            status=status,
            is_ended=is_ended,
            total=as_number(counts.get("total")),
            done=as_number(counts.get("completed")),
            failed=as_number(counts.get("failed")),
            created_at_ns=_nanoseconds(as_number(top.get("created_at"))),
            finished_at_ns=_nanoseconds(ended_at) if is_ended else None,
            file_id=as_text(top.get("input_file_id")),
            token=as_text(as_dict(top.get("metadata")).get(_MARK_KEY)),
            result_paths=[
                f"/files/{quote(file_id, safe='')}/content"
                for key in ("output_file_id", "error_file_id")
                if is_ended and (file_id := as_text(top.get(key)))
            ],
            problem=_problem(problems) if word == "failed" else None,
            problem_code=as_text(problems[0].get("code")) if problems else None,
            missing=_MISSING.get(word),
        )

    def decode_line(self, line: bytes) -> ResultLine | None:
        """A line of a file of results or of errors."""
        top = _line.decode(line)
        response = None if bytes(top.response) == b"null" else _response.decode(top.response)
        error = as_dict(top.error)
        code, message = as_text(error.get("code")), as_text(error.get("message"))
        if code in _UNSERVED:
            return ResultLine(top.custom_id, unserved=_UNSERVED[code], message=message, code=code)
        status = None if response is None else as_number(response.status_code)
        body = b"" if response is None else bytes(response.body)
        if body in (b"", b"null"):
            body = error_body(top.error) if top.error is not None else b""
        if response is None and top.error is None:
            return None
        return ResultLine(top.custom_id, status or (200 if top.error is None else 500), body)


def _problem(problems: list[dict[str, Any]]) -> str:
    first = problems[0] if problems else {}
    words = as_text(first.get("message")) or as_text(first.get("code")) or "no reason given"
    line = as_number(first.get("line"))
    at_line = "" if line is None else f" (line {line})"
    more = f", and {len(problems) - 1} further problems" if len(problems) > 1 else ""
    return f"{words[:300]}{at_line}{more}"


def _nanoseconds(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1_000_000_000
