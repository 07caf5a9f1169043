"""The Responses API, as OpenAI speaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from evalharness.emulator.delivery.hostile_bodies import AnswerShape
from evalharness.emulator.dialects.dialect import AnswerStream, Dialect, EmulatedAnswer
from evalharness.emulator.dialects.responses.error_words import refusal, worded
from evalharness.emulator.dialects.responses.request import chat_body
from evalharness.emulator.dialects.responses.request_schema import REQUEST, STORED
from evalharness.emulator.dialects.responses.response_body import response_object
from evalharness.emulator.dialects.responses.response_events import ResponseEvents
from evalharness.emulator.limiter import LimitState
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import (
    RequestRefusedError,
    decode_body,
    served_models,
)
from evalharness.emulator.validation.error_bodies import Headers, Problem, error_response
from evalharness.emulator.validation.openapi_schema import compile_schema
from evalharness.emulator.validation.parsed_request import ParsedRequest, parse_request
from evalharness.emulator.validation.validation_hints import Hint, HintKind, request_hints

_SHORTEST_OUTPUT = 16  # OpenAI takes no smaller max_output_tokens
_Change = Callable[[str], Any]


def _more_items(items: list[Any]) -> list[Any]:
    return [{**items[-1], "id": f"{items[-1]['id']}{i}"} for i in range(2)]


def _with_text(payload: dict[str, Any], change: _Change) -> dict[str, Any]:
    def changed(item: dict[str, Any]) -> dict[str, Any]:
        if item["type"] != "message" or "text" not in item["content"][0]:
            return item
        part = item["content"][0]
        return {**item, "content": [{**part, "text": change(part["text"])}]}

    return {**payload, "output": [changed(item) for item in payload["output"]]}


_WRONG: dict[str, Any] = {
    "id": 7,
    "created_at": "yesterday",
    "status": [],
    "output": [{"type": "message", "role": 1, "content": {"text": ["x"]}}],
    "usage": {"input_tokens": "8", "output_tokens": True, "total_tokens": [1]},
}


class ResponsesDialect(Dialect):
    """Requests are validated by OpenAI's reference; nothing is stored."""

    name = "responses"
    path = "/v1/responses"
    shape = AnswerShape(
        answers="output",
        prompt_tokens="input_tokens",
        completion_tokens="output_tokens",
        more_answers=_more_items,
        with_text=_with_text,
        wrong=_WRONG,
        error={"error": {"message": "The model is overloaded.", "type": "server_error"}},
    )

    def __init__(self, options: EmulatorOptions) -> None:
        super().__init__(options)
        self._valid = compile_schema(REQUEST)
        self._models = served_models(options)

    def read(self, raw: bytes, headers: dict[bytes, bytes]) -> dict[str, Any]:
        """The decoded body of a valid request."""
        del headers
        body = decode_body(raw)
        if not self._valid(body):
            raise RequestRefusedError(worded(request_hints(REQUEST, body)[0]))
        violation = self._violation(body)
        if violation is not None:
            raise RequestRefusedError(violation)
        return body

    def _violation(self, body: dict[str, Any]) -> Problem | None:
        """What is wrong with a body that the schema allows."""
        if self._models is not None and body["model"] not in self._models:
            message = f"The model `{body['model']}` does not exist or you do not have access to it."
            return refusal("model", message, "model_not_found", status=404)
        for name in STORED:
            if body.get(name) is not None:
                return refusal(name, "The emulator stores no responses.", "unsupported_parameter")
        if body.get("background"):
            message = "The emulator answers while the client waits."
            return refusal("background", message, "unsupported_parameter")
        limit = body.get("max_output_tokens")
        if self._options.profile == "openai" and limit is not None and limit < _SHORTEST_OUTPUT:
            low = str(_SHORTEST_OUTPUT)
            return worded(Hint("max_output_tokens", "", HintKind.BELOW, low, limit))
        if not body["input"]:
            return refusal("input", "Input must not be empty.", "empty_array")
        return _tool_violation(body)

    def parse(self, body: dict[str, Any]) -> ParsedRequest:
        """What a valid body asks for."""
        return parse_request(chat_body(body), 1)

    def object_body(self, answer: EmulatedAnswer) -> dict[str, Any]:
        """The response."""
        return response_object(answer)

    def stream(self, answer: EmulatedAnswer) -> AnswerStream:
        """Its events."""
        return ResponseEvents(answer)

    def error(self, problem: Problem, request_id: str) -> tuple[Headers, bytes]:
        """OpenAI's error object, unless the options ask for another."""
        options = self._options
        if options.envelope is None:
            options = msgspec.structs.replace(options, envelope="openai")
        return error_response(problem, options, self.path, f"req_{request_id}")

    def headers(self, request_id: str, limits: list[LimitState]) -> Headers:
        """The id under which OpenAI finds a request."""
        del limits
        return [(b"x-request-id", f"req_{request_id}".encode())]


def _tool_violation(body: dict[str, Any]) -> Problem | None:
    """A choice of tools that are not there."""
    choice: Any = body.get("tool_choice")
    names = {tool["name"] for tool in body.get("tools") or ()}
    if isinstance(choice, dict):
        wanted: list[str] = (
            [choice["name"]] if "name" in choice else [t.get("name") for t in choice["tools"]]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        )
        for name in wanted:
            if name not in names:
                message = f"Tool choice '{name}' not found in 'tools' parameter."
                return refusal("tool_choice", message)
    elif choice == "required" and not names:
        message = "Tool choice 'required' must be specified with 'tools' parameter."
        return refusal("tool_choice", message)
    return None
