"""The input file of an OpenAI batch: its lines, or every reason why it is refused.

The codes are those that OpenAI and the services of its form send (``token_limit_exceeded`` is known
from Azure's). ``invalid_type``, ``invalid_method`` and ``file_too_large`` are ours.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from evalharness.emulator.batches.batch_job import BatchInputError, BatchInputFault, BatchLine

MAX_FAULTS = 100  # a file of nothing but bad lines is not answered with as many faults
_REQUIRED = ("custom_id", "method", "url", "body")


class InputLimits(msgspec.Struct, frozen=True):
    """What a file may hold, and the tokens that may still be enqueued (None: any number)."""

    requests: int
    bytes: int
    tokens: int | None


class _Line(msgspec.Struct):
    custom_id: Any = UNSET
    method: Any = UNSET
    url: Any = UNSET
    body: msgspec.Raw | msgspec.UnsetType = UNSET


def read_input_file(content: bytes, endpoint: str, limits: InputLimits) -> list[BatchLine]:
    """The requests of a file, in order.

    Raises:
        BatchInputError: with what is wrong, line by line.
    """
    if len(content) > limits.bytes:
        text = f"The batch input file is larger than the {limits.bytes} bytes that are allowed."
        raise _refused("file_too_large", text)
    rows = content.rstrip().split(b"\n") if content.strip() else []
    if not rows:
        raise _refused("empty_file", "The batch input file is empty.")
    if len(rows) > limits.requests:
        text = f"The batch input file has {len(rows)} requests; {limits.requests} are allowed."
        raise _refused("too_many_tasks", text)
    reader = _Reader(endpoint)
    for number, row in enumerate(rows, 1):
        reader.read(row, number)
    if reader.faults:
        raise BatchInputError(reader.faults[:MAX_FAULTS])
    tokens = prompt_tokens(reader.lines)
    if limits.tokens is not None and tokens > limits.tokens:
        text = (
            f"Enqueued token limit reached: this file has {tokens} tokens, {max(0, limits.tokens)} "
            "are left. Please try again once some in_progress batches have been completed."
        )
        raise _refused("token_limit_exceeded", text)
    return reader.lines


def prompt_tokens(lines: list[BatchLine]) -> int:
    """Tokens of all lines by their size: a quarter of the bytes."""
    return sum((len(line.body) + 3) // 4 for line in lines)


class _Reader:
    """Reads line after line; what is wrong with each is a fault of its own."""

    def __init__(self, endpoint: str) -> None:
        self.lines: list[BatchLine] = []
        self.faults: list[BatchInputFault] = []
        self._endpoint = endpoint
        self._custom_ids: set[str] = set()
        self._model: str | None = None

    def read(self, row: bytes, number: int) -> None:
        """Read one line."""
        try:
            line = msgspec.json.decode(row, type=_Line)
            decoded: Any = msgspec.json.decode(row)  # a raw body is skipped, not decoded
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            text = "This line is not parseable as valid JSON."
            self.faults.append(BatchInputFault("invalid_json_line", text, None, number))
            return
        fault = self._fault(line, decoded)
        if fault is not None:
            self.faults.append(msgspec.structs.replace(fault, line=number))
            return
        body = bytes(line.body) if isinstance(line.body, msgspec.Raw) else b""
        self.lines.append(BatchLine(line.custom_id, line.url, body))

    def _fault(self, line: _Line, decoded: dict[str, Any]) -> BatchInputFault | None:
        for name in _REQUIRED:
            if decoded.get(name) is None:
                text = f"Missing required parameter: '{name}'."
                return BatchInputFault("missing_required_parameter", text, name)
        for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
            if not isinstance(decoded[name], kind):
                noun = "object" if kind is dict else "string"
                return BatchInputFault("invalid_type", f"'{name}' must be a {noun}.", name)
        if line.custom_id in self._custom_ids:
            text = (
                f"The custom_id '{line.custom_id}' for this request is a duplicate of another "
                "request. The custom_id parameter must be unique for each request in a batch."
            )
            return BatchInputFault("duplicate_custom_id", text, "custom_id")
        self._custom_ids.add(line.custom_id)
        if line.method != "POST":
            return BatchInputFault("invalid_method", "The method must be POST.", "method")
        if line.url != self._endpoint:
            text = "The URL provided for this request does not match the batch endpoint."
            return BatchInputFault("invalid_url", text, "url")
        return self._model_fault(decoded["body"].get("model"))

    def _model_fault(self, model: Any) -> BatchInputFault | None:
        if not isinstance(model, str):
            return None  # the endpoint says what is wrong with it
        if self._model not in (None, model):
            text = (
                f"The model '{model}' for this request does not match the rest of the batch. "
                "Each batch must contain requests for a single model."
            )
            return BatchInputFault("mismatched_model", text, "body.model")
        self._model = model
        return None


def _refused(code: str, message: str) -> BatchInputError:
    return BatchInputError([BatchInputFault(code, message)])
