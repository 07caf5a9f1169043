"""Answers on the wire: one JSON object, or the events of a stream."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import msgspec

from evalharness.emulator.billing import Bill, Used
from evalharness.emulator.completion import Choice, ToolCall
from evalharness.emulator.text.answer_sampler import split
from evalharness.emulator.text.sampling import NEVER
from evalharness.emulator.text.text_generator import Token
from evalharness.emulator.validation.parsed_request import Ask

Event = bytes  # the JSON of one server-sent event


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that goes into a response."""

    ask: Ask
    choices: list[Choice]
    used: Used
    bill: Bill
    response_id: str
    created: int  # Unix seconds
    fingerprint: str | None
    profile: str

    @property
    def billed_openly(self) -> bool:
        """Whether the profile tells what a request cost."""
        return self.profile != "openai"


def usage(used: Used) -> dict[str, Any]:
    """The usage object."""
    return {
        "prompt_tokens": used.prompt,
        "completion_tokens": used.completion,
        "total_tokens": used.total,
        "prompt_tokens_details": {"cached_tokens": used.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": used.accepted_prediction,
            "rejected_prediction_tokens": used.rejected_prediction,
        },
    }


def whole(answer: Answer) -> dict[str, Any]:
    """The response in one piece."""
    return {
        "id": answer.response_id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.ask.model,
        "choices": [
            {
                "index": i,
                "message": _message(choice),
                "finish_reason": choice.finish_reason,
                "logprobs": _logprobs(choice.logprobs),
            }
            for i, choice in enumerate(answer.choices)
        ],
        "usage": usage(answer.used),
        "system_fingerprint": answer.fingerprint,
    }


def _message(choice: Choice) -> dict[str, Any]:
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


class Stream:
    """The events of a streamed answer, step by step: a step is one token of every choice.

    Under the profiles ``generic`` and ``aimlapi`` each delta has ``content`` and ``role`` and each
    piece of a tool call has all its fields, as the OpenAPI demands (empty where there is nothing
    new, so that joining the pieces gives the whole); under ``openai`` they come once.
    ``finish_reason`` is null until the last piece of a choice; the OpenAPI, which knows no null
    there, is at odds with itself, since it would make every piece the last.
    """

    def __init__(self, answer: Answer) -> None:
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
        if answer.ask.include_usage:
            ends.append(self._chunk([]) | {"usage": usage(answer.used)})
        if answer.billed_openly:
            # Exact digits, as a number.
            usd = msgspec.Raw(answer.bill.usd_text().encode())
            ends[-1]["meta"] = {"usage": {"credits_used": answer.bill.credits, "usd_spent": usd}}
        return [msgspec.json.encode(end) for end in ends]

    def _pieces(self, i: int, choice: Choice) -> list[Event]:
        events = [self._event(i, {"content": "", "reasoning_content": r}) for r in choice.reasoning]
        logprobs = choice.logprobs or [None] * len(choice.pieces)
        for piece, token in zip(choice.pieces, logprobs, strict=True):
            events.append(self._event(i, {"content": piece}, token))
        if choice.refusal is not None:
            events += [
                self._event(i, {"content": "", "refusal": piece}) for piece in split(choice.refusal)
            ]
        for k, call in enumerate(choice.tool_calls):
            events += [
                self._event(i, {"content": "", "tool_calls": [part]})
                for part in self._call_parts(k, call)
            ]
        return events

    def _call_parts(self, k: int, call: ToolCall) -> list[dict[str, Any]]:
        first = {
            "index": k,
            "id": call.call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        later: list[dict[str, Any]] = []
        for piece in split(call.arguments):
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
            "model": answer.ask.model,
            "choices": choices,
            "system_fingerprint": answer.fingerprint,
        }
        if answer.ask.include_usage:
            chunk["usage"] = None
        return chunk
