"""The body of an answer: one JSON object, or the events of a stream."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import msgspec

from evalharness.emulator.billing import Bill, RequestTokens
from evalharness.emulator.completion import ChatChoice, EmulatedToolCall
from evalharness.emulator.text.answer_sampler import split_tokens
from evalharness.emulator.text.sampling import NEVER
from evalharness.emulator.text.text_generator import Token
from evalharness.emulator.validation.parsed_request import ParsedRequest

Event = bytes  # the JSON of one server-sent event


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that goes into a response."""

    request: ParsedRequest
    choices: list[ChatChoice]
    tokens: RequestTokens
    bill: Bill
    response_id: str
    created: int  # Unix seconds
    fingerprint: str | None
    profile: str

    @property
    def shows_bill(self) -> bool:
        """Whether the profile's responses say what a request cost."""
        return self.profile != "openai"


def usage_object(tokens: RequestTokens) -> dict[str, Any]:
    """The usage object."""
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": tokens.accepted_prediction,
            "rejected_prediction_tokens": tokens.rejected_prediction,
        },
    }


def completion_object(answer: ChatAnswer) -> dict[str, Any]:
    """The response in one piece."""
    return {
        "id": answer.response_id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.request.model,
        "choices": [
            {
                "index": i,
                "message": _message(choice),
                "finish_reason": choice.finish_reason,
                "logprobs": _logprobs(choice.logprobs),
            }
            for i, choice in enumerate(answer.choices)
        ],
        "usage": usage_object(answer.tokens),
        "system_fingerprint": answer.fingerprint,
    }


def _message(choice: ChatChoice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text,
        "refusal": choice.refusal,
    }
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    if choice.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in choice.tool_calls
        ]
    return message


def _logprobs(tokens: list[Token] | None) -> dict[str, Any] | None:
    if tokens is None:
        return None
    return {"content": [_logprob(token) for token in tokens], "refusal": []}


def _logprob(token: Token) -> dict[str, Any]:
    return {
        **_entry(token.text, token.logprob),
        "top_logprobs": [_entry(text, logprob) for text, logprob in token.top],
    }


def _entry(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": max(logprob, NEVER), "bytes": list(text.encode())}


class StreamEvents:
    """The events of a streamed answer, step by step: a step is one token of every choice.

    Under the profiles ``generic`` and ``aimlapi`` each delta has ``content`` and ``role`` and each
    piece of a tool call has all its fields, as the OpenAPI demands (empty where there is nothing
    new, so that joining the pieces gives the whole); under ``openai`` they come once.
    ``finish_reason`` is null until the last piece of a choice. The OpenAPI allows no null there,
    which cannot be meant: every piece would then be the last.
    """

    def __init__(self, answer: ChatAnswer) -> None:
        self._answer = answer
        self._complete = answer.profile != "openai"
        # What is the same in every event is encoded once. A quote inside a text is escaped, so the
        # first match is the member itself.
        frame = msgspec.json.encode(self._chunk([]))
        self._head, _, self._tail = frame.partition(b'"choices":[]')
        self._head += b'"choices":['
        self._tail = b"]" + self._tail

    def opening(self) -> list[Event]:
        """The role of each choice, before any token."""
        return [
            self._event(i, {"role": "assistant", "content": ""})
            for i in range(len(self._answer.choices))
        ]

    def steps(self) -> list[list[Event]]:
        """The tokens, choices side by side."""
        lines = [self._pieces(i, choice) for i, choice in enumerate(self._answer.choices)]
        return [[event for event in step if event is not None] for step in zip_longest(*lines)]

    def closing(self) -> list[Event]:
        """The finish reasons, then usage where it was asked for; the bill is in the last event."""
        answer = self._answer
        ends = [
            self._chunk([self._choice(i, self._empty(), finish=choice.finish_reason)])
            for i, choice in enumerate(answer.choices)
        ]
        if answer.request.include_usage:
            ends.append(self._chunk([]) | {"usage": usage_object(answer.tokens)})
        if answer.shows_bill:
            # Exact digits, as a number.
            usd = msgspec.Raw(answer.bill.usd_text().encode())
            ends[-1]["meta"] = {"usage": {"credits_used": answer.bill.credits, "usd_spent": usd}}
        return [msgspec.json.encode(end) for end in ends]

    def _pieces(self, i: int, choice: ChatChoice) -> list[Event]:
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

    def _event(self, i: int, delta: dict[str, Any], token: Token | None = None) -> Event:
        if self._complete:
            delta.setdefault("role", "assistant")
        choice = msgspec.json.encode(self._choice(i, delta, token=token))
        return self._head + choice + self._tail

    def _choice(
        self,
        i: int,
        delta: dict[str, Any],
        *,
        token: Token | None = None,
        finish: str | None = None,
    ) -> dict[str, Any]:
        logprobs = None if token is None else _logprobs([token])
        return {"index": i, "delta": delta, "finish_reason": finish, "logprobs": logprobs}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        answer = self._answer
        chunk: dict[str, Any] = {
            "id": answer.response_id,
            "object": "chat.completion.chunk",
            "created": answer.created,
            "model": answer.request.model,
            "choices": choices,
            "system_fingerprint": answer.fingerprint,
        }
        if answer.request.include_usage:
            chunk["usage"] = None
        return chunk
