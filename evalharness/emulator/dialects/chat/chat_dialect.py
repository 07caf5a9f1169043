"""Chat completions, as the profile's provider speaks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evalharness.emulator.delivery.hostile_bodies import AnswerShape
from evalharness.emulator.dialects.chat.chunks import CompletionChunks
from evalharness.emulator.dialects.chat.completion_body import completion_object
from evalharness.emulator.dialects.dialect import AnswerStream, Dialect, EmulatedAnswer
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import RequestValidator
from evalharness.emulator.validation.error_bodies import Headers, Problem, error_response
from evalharness.emulator.validation.parsed_request import ParsedRequest, parse_request


def _more_choices(choices: list[Any]) -> list[Any]:
    return [{**choices[-1], "index": len(choices) + i} for i in range(2)]


def _with_text(payload: dict[str, Any], change: Callable[[str], Any]) -> dict[str, Any]:
    first = payload["choices"][0]
    message = {**first["message"], "content": change(first["message"]["content"])}
    return {**payload, "choices": [{**first, "message": message}]}


_WRONG: dict[str, Any] = {
    "id": 7,
    "created": "yesterday",
    "choices": [
        {"index": "0", "message": {"role": 1, "content": {"text": ["x"]}}, "finish_reason": []}
    ],
    "usage": {"prompt_tokens": "8", "completion_tokens": True, "total_tokens": [1]},
}


class ChatDialect(Dialect):
    """Requests are validated by the first target's OpenAPI."""

    name = "chat"
    path = "/v1/chat/completions"
    shape = AnswerShape(
        answers="choices",
        prompt_tokens="prompt_tokens",
        completion_tokens="completion_tokens",
        more_answers=_more_choices,
        with_text=_with_text,
        wrong=_WRONG,
        error={"error": {"message": "The model is overloaded.", "type": "server_error"}},
    )

    def __init__(self, options: EmulatorOptions) -> None:
        super().__init__(options)
        self._validator = RequestValidator(options)

    def read(self, raw: bytes, headers: dict[bytes, bytes]) -> dict[str, Any]:
        """The decoded body of a valid request."""
        del headers
        return self._validator.valid_body(raw)

    def parse(self, body: dict[str, Any]) -> ParsedRequest:
        """What a valid body asks for."""
        return parse_request(body, self._options.max_choices)

    def object_body(self, answer: EmulatedAnswer) -> dict[str, Any]:
        """The completion."""
        return completion_object(answer)

    def stream(self, answer: EmulatedAnswer) -> AnswerStream:
        """Its chunks."""
        return CompletionChunks(answer)

    def error(self, problem: Problem, request_id: str) -> tuple[Headers, bytes]:
        """An error in the profile's format."""
        return error_response(problem, self._options, self.path, f"req-{request_id}")
