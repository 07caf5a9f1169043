"""The Messages API, as Anthropic speaks it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from evalharness.emulator.delivery.hostile_bodies import AnswerShape
from evalharness.emulator.dialects.dialect import AnswerStream, Dialect, EmulatedAnswer
from evalharness.emulator.dialects.messages import request_rules
from evalharness.emulator.dialects.messages.message_body import message_object
from evalharness.emulator.dialects.messages.message_events import OVERLOADED, MessageEvents
from evalharness.emulator.dialects.messages.request import chat_body
from evalharness.emulator.dialects.messages.request_schema import REQUEST
from evalharness.emulator.limiter import LimitState
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import (
    RequestRefusedError,
    decode_body,
    served_models,
)
from evalharness.emulator.validation.error_bodies import Headers, Problem, status_phrase
from evalharness.emulator.validation.openapi_schema import compile_schema
from evalharness.emulator.validation.parsed_request import ParsedRequest, parse_request
from evalharness.emulator.validation.validation_hints import request_hints

_VERSIONS = ("2023-06-01", request_rules.LATEST_VERSION)
# Anthropic's types of errors by status; other statuses have the type of their class.
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MESSAGES = {
    401: "invalid x-api-key",
    402: "Your credit balance is too low to access the Anthropic API.",
    429: "This request would exceed your account's rate limit. Please try again later.",
    500: "Internal server error",
    529: "Overloaded",
}


def _more_blocks(blocks: list[Any]) -> list[Any]:
    return blocks[-1:] * 2


def _with_text(payload: dict[str, Any], change: Callable[[str], Any]) -> dict[str, Any]:
    blocks = [
        {**block, "text": change(block["text"])} if block["type"] == "text" else block
        for block in payload["content"]
    ]
    return {**payload, "content": blocks}


_WRONG: dict[str, Any] = {
    "id": 7,
    "role": 1,
    "content": [{"type": "text", "text": {"text": ["x"]}}],
    "stop_reason": [],
    "usage": {"input_tokens": "8", "output_tokens": True, "cache_read_input_tokens": [1]},
}


class MessagesDialect(Dialect):
    """Requests are validated by Anthropic's reference, and errors are Anthropic's always."""

    name = "messages"
    path = "/v1/messages"
    takes_key_header = True
    shape = AnswerShape(
        answers="content",
        prompt_tokens="input_tokens",
        completion_tokens="output_tokens",
        more_answers=_more_blocks,
        with_text=_with_text,
        wrong=_WRONG,
        error={"type": "error", **OVERLOADED},
    )

    def __init__(self, options: EmulatorOptions) -> None:
        super().__init__(options)
        self._valid = compile_schema(REQUEST)
        self._models = served_models(options)

    def read(self, raw: bytes, headers: dict[bytes, bytes]) -> dict[str, Any]:
        """The decoded body of a valid request."""
        version = headers.get(b"anthropic-version", b"").decode("latin-1")
        if not version:
            raise _refusal("anthropic-version: header is required")
        if version not in _VERSIONS:
            raise _refusal(f'anthropic-version: "{version}" is not a valid version')
        body = decode_body(raw)
        if not self._valid(body):
            raise _refusal(request_rules.worded(request_hints(REQUEST, body)[0]))
        if self._models is not None and body["model"] not in self._models:
            raise _refusal(f"model: {body['model']}", 404)
        violation = request_rules.violation(body, version)
        if violation is not None:
            raise _refusal(violation)
        return body

    def parse(self, body: dict[str, Any]) -> ParsedRequest:
        """What a valid body asks for."""
        chat, marks = chat_body(body)
        return msgspec.structs.replace(parse_request(chat, 1), cache_marks=marks)

    def object_body(self, answer: EmulatedAnswer) -> dict[str, Any]:
        """The message."""
        return message_object(answer)

    def stream(self, answer: EmulatedAnswer) -> AnswerStream:
        """Its events."""
        return MessageEvents(answer)

    def error(self, problem: Problem, request_id: str) -> tuple[Headers, bytes]:
        """Anthropic's error object.

        A problem's code is the error's type where Anthropic has such a type.
        """
        status = problem.status
        kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        if problem.code in _TYPES.values():
            kind = problem.code
        hint = problem.hints[0] if problem.hints else None
        worded = None if hint is None else request_rules.worded(hint)
        message = worded or problem.message or _MESSAGES.get(status) or status_phrase(status)
        body = {
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": f"req_{request_id}",
        }
        headers = [(b"content-type", b"application/json"), *problem.headers]
        return headers, msgspec.json.encode(body)

    def headers(self, request_id: str, limits: list[LimitState]) -> Headers:
        """The request's id, and what is left of each limit."""
        headers: Headers = [(b"request-id", f"req_{request_id}".encode())]
        for state in limits:
            name = f"anthropic-ratelimit-{state.limit}"
            # A moment in whole seconds, never too early.
            reset = datetime.now(UTC) + timedelta(seconds=math.ceil(state.reset_s))
            for suffix, value in (
                ("limit", str(state.maximum)),
                ("remaining", str(state.remaining)),
                ("reset", reset.strftime("%Y-%m-%dT%H:%M:%SZ")),
            ):
                headers.append((f"{name}-{suffix}".encode(), value.encode()))
        return headers


def _refusal(message: str, status: int = 400) -> RequestRefusedError:
    return RequestRefusedError(Problem(status=status, message=message))
