"""Message Batches as Anthropic has them: ``/messages/batches``, ``…/{id}/results``.

Source: the types of anthropic-sdk-python (``types/messages/batch_create_params.py``,
``message_batch.py``, ``message_batch_result.py``) and the guide to batch processing. The requests
go with the creation, nothing else can be kept with a batch, and a batch does not tell what is in
it before it has ended. So the names of the requests hold the batch's token. A name has at most 64
characters of ``A-Za-z0-9_-`` (anthropic-sdk-python, issue 984, and the API's own error).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from evalharness.batch.wire import (
    BatchApi,
    BatchFacts,
    Call,
    ResultLine,
    as_dict,
    as_number,
    as_text,
    file_pieces,
)
from evalharness.config.batch import BatchRules
from evalharness.http.files import FileBody
from evalharness.records import ErrorKind
from evalharness.store.journal.batch_files import BatchState

_PAGE = 100
_HEAD, _TAIL = b'{"requests":[', b"]}"
# The status that an error has when it comes alone (Anthropic's page on errors).
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_UNSERVED = {"expired": ErrorKind.EXPIRED, "canceled": ErrorKind.CANCELLED}


class _Line(msgspec.Struct):
    custom_id: str
    result: msgspec.Raw


class _Result(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_line = msgspec.json.Decoder(_Line)
_result = msgspec.json.Decoder(_Result)


class AnthropicBatches(BatchApi):
    """A batch is made of its requests, and its results are one file."""

    name = "anthropic"
    list_path = f"/messages/batches?limit={_PAGE}"
    after_name = "after_id"

    def custom_id(self, trial_id: str, attempt: int, token: str) -> str:
        """The attempt with the batch's token, by which the batch is known again."""
        return f"evh-{trial_id}-{attempt}-{token[:16]}"

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:
        """A request."""
        return msgspec.json.encode({"custom_id": custom_id, "params": msgspec.Raw(body)})

    def upload(self, state: BatchState, file: Path) -> None:
        """The requests go with the creation."""

    def create(self, state: BatchState, file: Path, path: str, rules: BatchRules) -> Call:
        """The lines of the file as a list; the last one ends with the end of the file."""

        def pieces() -> Iterator[bytes]:
            yield _HEAD
            before = b""
            # No line has a line end within: in JSON it is escaped.
            for piece in file_pieces(file):
                yield before.replace(b"\n", b",")
                before = piece
            yield before.removesuffix(b"\n").replace(b"\n", b",")
            yield _TAIL

        size = len(_HEAD) + state.bytes - 1 + len(_TAIL)
        return Call(
            "/messages/batches", {"content-type": "application/json"}, FileBody(size, pieces)
        )

    def read_batch(self, value: Any) -> BatchFacts:
        """A batch from its JSON."""
        top = as_dict(value)
        batch_id, status = as_text(top.get("id")), as_text(top.get("processing_status"))
        if batch_id is None or status is None:
            raise ValueError("no id and processing_status of a batch")
        counts = {name: as_number(n) for name, n in as_dict(top.get("request_counts")).items()}
        known = [n for n in counts.values() if n is not None]
        is_ended = status == "ended"
        archived = is_ended and as_text(top.get("archived_at")) is not None
        return BatchFacts(
            batch_id=batch_id,
            status=status,
            is_ended=is_ended,
            total=sum(known) if known else None,
            done=counts.get("succeeded"),
            failed=sum(counts.get(name) or 0 for name in ("errored", "canceled", "expired")),
            created_at_ns=_nanoseconds(top.get("created_at")),
            finished_at_ns=_nanoseconds(top.get("ended_at")),
            # The address that the provider names is not used: the key goes to no other host.
            result_paths=[f"{self.batch_path(batch_id)}/results"]
            if is_ended and not archived
            else [],
        )

    def decode_line(self, line: bytes) -> ResultLine | None:
        """A line of the results."""
        top = _line.decode(line)
        result = _result.decode(top.result)
        if result.type == "succeeded":
            return ResultLine(top.custom_id, 200, bytes(result.message))
        if result.type in _UNSERVED:
            words = {
                ErrorKind.EXPIRED: "the batch expired before this request was served",
                ErrorKind.CANCELLED: "the batch was cancelled before this request was served",
            }
            kind = _UNSERVED[result.type]
            return ResultLine(top.custom_id, unserved=kind, message=words[kind], code=result.type)
        if result.type == "errored":
            body = bytes(result.error)
            try:
                error = as_dict(as_dict(msgspec.json.decode(body)).get("error"))
            except (msgspec.MsgspecError, RecursionError):
                error = {}
            return ResultLine(top.custom_id, _STATUS.get(str(error.get("type")), 500), body)
        return None


def _nanoseconds(value: Any) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1e6) * 1_000
