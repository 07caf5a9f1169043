"""The chunks of a streamed chat completion."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import msgspec

from evalharness.emulator.completion import ChatChoice, EmulatedToolCall
from evalharness.emulator.delivery.framing import StreamEvent
from evalharness.emulator.dialects.chat.completion_body import (
    completion_id,
    logprobs_object,
    usage_object,
)
from evalharness.emulator.dialects.dialect import AnswerStream, EmulatedAnswer
from evalharness.emulator.text.answer_sampler import split_tokens
from evalharness.emulator.text.text_generator import Token

STREAM_ERROR = {
    "error": {"message": "The model stopped unexpectedly.", "type": "server_error", "code": 500}
}


class CompletionChunks(AnswerStream):
    """The events of a streamed answer, step by step: a step is one token of every choice.

    Under the profiles ``generic`` and ``aimlapi`` each delta has ``content`` and ``role`` and each
    piece of a tool call has all its fields, as the OpenAPI demands (empty where there is nothing
    new, so that joining the pieces gives the whole); under ``openai`` they come once.
    ``finish_reason`` is null until the last piece of a choice. The OpenAPI allows no null there,
    which cannot be meant: every piece would then be the last.
    """

    def __init__(self, answer: EmulatedAnswer) -> None:
        self._answer = answer
        self._complete = answer.profile != "openai"
        # What is the same in every event is encoded once. A quote inside a text is escaped, so the
        # first match is the member itself.
        frame = msgspec.json.encode(self._chunk([]))
        self._head, _, self._tail = frame.partition(b'"choices":[]')
        self._head += b'"choices":['
        self._tail = b"]" + self._tail

    def opening(self) -> list[StreamEvent]:
        """The role of each choice, before any token."""
        return [
            self._event(i, {"role": "assistant", "content": ""})
            for i in range(len(self._answer.choices))
        ]

    def steps(self) -> list[list[StreamEvent]]:
        """The tokens, choices side by side."""
        lines = [self._pieces(i, choice) for i, choice in enumerate(self._answer.choices)]
        return [[event for event in step if event is not None] for step in zip_longest(*lines)]

    def closing(self) -> list[StreamEvent]:
        """The finish reasons, then usage where it was asked for; the bill is in the last event."""
        answer = self._answer
        ends = [
            self._chunk([self._choice(i, self._empty(), finish=choice.finish_reason)])
            for i, choice in enumerate(answer.choices)
        ]
        if answer.request.include_usage:
            ends.append(self._chunk([]) | {"usage": usage_object(answer.tokens)})
        if answer.shows_bill:
            ends[-1]["meta"] = answer.bill_object
        return [StreamEvent(msgspec.json.encode(end)) for end in ends]

    def done(self) -> list[StreamEvent]:
        """``[DONE]``."""
        return [StreamEvent(b"[DONE]")]

    def error(self, sent: int) -> StreamEvent:
        """An error object in place of a chunk."""
        return StreamEvent(msgspec.json.encode(STREAM_ERROR))

    def failure(self, sent: int) -> StreamEvent:
        """The error: chat completions have no answers that failed."""
        return self.error(sent)

    def text(self, text: str) -> StreamEvent:
        """A chunk with content."""
        return self._event(0, {"content": text})

    def _pieces(self, i: int, choice: ChatChoice) -> list[StreamEvent]:
        events = [self._event(i, {"content": "", "reasoning_content": r}) for r in choice.reasoning]
        logprobs = choice.logprobs or [None] * len(choice.pieces)
        for piece, token in zip(choice.pieces, logprobs, strict=True):
            events.append(self._event(i, {"content": piece}, token))
        if choice.refusal is not None:
            events += [
                self._event(i, {"content": "", "refusal": piece})
                for piece in split_tokens(choice.refusal)
            ]
        for k, call in enumerate(choice.tool_calls):
            events += [
                self._event(i, {"content": "", "tool_calls": [part]})
                for part in self._call_parts(k, call)
            ]
        return events

    def _call_parts(self, k: int, call: EmulatedToolCall) -> list[dict[str, Any]]:
        first = {
            "index": k,
            "id": call.call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        later: list[dict[str, Any]] = []
        for piece in split_tokens(call.arguments):
            if self._complete:
                function = {"name": "", "arguments": piece}
                later.append({"index": k, "id": "", "type": "function", "function": function})
            else:
                later.append({"index": k, "function": {"arguments": piece}})
        return [first, *later]

    def _empty(self) -> dict[str, Any]:
        return {"role": "assistant", "content": ""} if self._complete else {}

    def _event(self, i: int, delta: dict[str, Any], token: Token | None = None) -> StreamEvent:
        if self._complete:
            delta.setdefault("role", "assistant")
        choice = msgspec.json.encode(self._choice(i, delta, token=token))
        return StreamEvent(self._head + choice + self._tail)

    def _choice(
        self,
        i: int,
        delta: dict[str, Any],
        *,
        token: Token | None = None,
        finish: str | None = None,
    ) -> dict[str, Any]:
        logprobs = None if token is None else logprobs_object([token])
        return {"index": i, "delta": delta, "finish_reason": finish, "logprobs": logprobs}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        answer = self._answer
        chunk: dict[str, Any] = {
            "id": completion_id(answer),
            "object": "chat.completion.chunk",
            "created": answer.created,
            "model": answer.request.model,
            "choices": choices,
            "system_fingerprint": answer.fingerprint,
        }
        if answer.request.include_usage:
            chunk["usage"] = None
        return chunk
