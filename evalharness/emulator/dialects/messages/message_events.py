"""The events of a streamed message."""

from __future__ import annotations

from typing import Any

import msgspec

from evalharness.emulator.delivery.framing import StreamEvent
from evalharness.emulator.dialects.dialect import AnswerStream, EmulatedAnswer
from evalharness.emulator.dialects.messages import message_body
from evalharness.emulator.text.answer_sampler import split_tokens

Fields = dict[str, Any]
_Steps = list[list[StreamEvent]]

OVERLOADED: Fields = {"error": {"type": "overloaded_error", "message": "Overloaded"}}


class MessageEvents(AnswerStream):
    """Each block starts, grows and stops; a ping follows the start of the first."""

    def __init__(self, answer: EmulatedAnswer) -> None:
        self._answer = answer
        self._blocks = 0

    def opening(self) -> list[StreamEvent]:
        """The message as it begins."""
        return [_event("message_start", message=message_body.message_frame(self._answer))]

    def steps(self) -> _Steps:
        """The tokens of each block in turn."""
        answer, choice = self._answer, self._answer.choices[0]
        steps = self._thinking() if choice.reasoning else []
        if choice.text:
            start: Fields = {"type": "text", "text": ""}
            texts = [{"type": "text_delta", "text": piece} for piece in choice.pieces]
            steps += self._block(start, [[delta] for delta in texts])
        for call in choice.tool_calls:
            start = {**message_body.tool_use_block(call), "input": {}}
            # The name is one token, then come the arguments.
            pieces = ["", *split_tokens(call.arguments)]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            steps += self._block(start, [[delta] for delta in deltas])
        if choice.refusal is not None:
            # A refusal is said at the end; its tokens take their time unseen.
            steps += [[] for _ in split_tokens(answer.choices[0].refusal or "")]
        return steps

    def closing(self) -> list[StreamEvent]:
        """Why the message ends, and its usage."""
        answer = self._answer
        usage = message_body.usage_object(answer)
        counts = {name: usage[name] for name in usage if name not in _ONLY_AT_START}
        bill = {"meta": answer.bill_object} if answer.shows_bill else {}
        return [_event("message_delta", delta=message_body.stop(answer), usage=counts, **bill)]

    def done(self) -> list[StreamEvent]:
        """``message_stop``."""
        return [_event("message_stop")]

    def error(self, sent: int) -> StreamEvent:
        """The event ``error``."""
        return _event("error", **OVERLOADED)

    def failure(self, sent: int) -> StreamEvent:
        """The error: messages have no answers that failed."""
        return self.error(sent)

    def text(self, text: str) -> StreamEvent:
        """A piece of a block's text."""
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def _thinking(self) -> _Steps:
        """Thinking and its signature; where it is left out, its tokens take their time unseen."""
        answer = self._answer
        block = message_body.thinking_block(answer)
        words = answer.choices[0].reasoning
        deltas: list[list[Fields]] = [[{"type": "thinking_delta", "thinking": w}] for w in words]
        if message_body.omits_thinking(answer):
            deltas = [[] for _ in words]
        deltas[-1].append({"type": "signature_delta", "signature": block["signature"]})
        return self._block({**block, "thinking": "", "signature": ""}, deltas)

    def _block(self, start: Fields, deltas: list[list[Fields]]) -> _Steps:
        """A step for each list of deltas: the block starts with the first, stops with the last."""
        index = self._blocks
        self._blocks += 1
        steps = [
            [_event("content_block_delta", index=index, delta=delta) for delta in step]
            for step in deltas
        ]
        opening = [_event("content_block_start", index=index, content_block=start)]
        if index == 0:
            opening.append(_event("ping"))
        steps[0] = opening + steps[0]
        steps[-1].append(_event("content_block_stop", index=index))
        return steps


_ONLY_AT_START = ("cache_creation", "service_tier")


def _event(kind: str, **fields: Any) -> StreamEvent:
    return StreamEvent(msgspec.json.encode({"type": kind, **fields}), kind.encode())
