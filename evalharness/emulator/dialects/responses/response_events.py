"""The events of a streamed response, numbered in the order in which they are sent."""

from __future__ import annotations

from typing import Any

import msgspec

from evalharness.emulator.completion import EmulatedToolCall
from evalharness.emulator.delivery.framing import StreamEvent
from evalharness.emulator.dialects.chat.completion_body import logprob_object
from evalharness.emulator.dialects.dialect import AnswerStream, EmulatedAnswer
from evalharness.emulator.dialects.responses import response_body
from evalharness.emulator.text.answer_sampler import split_tokens

Fields = dict[str, Any]
_Steps = list[list[StreamEvent]]


class ResponseEvents(AnswerStream):
    """Each item is added, its parts grow, and it is done; the last event has the whole response."""

    def __init__(self, answer: EmulatedAnswer) -> None:
        self._answer = answer
        self._sent = 0
        self._items = 0
        self._pending: list[StreamEvent] = []  # of items without tokens, for the next step

    def opening(self) -> list[StreamEvent]:
        """The response as it begins."""
        frame = response_body.response_frame(self._answer)
        return [
            self._event("response.created", response=frame),
            self._event("response.in_progress", response=frame),
        ]

    def steps(self) -> _Steps:
        """The tokens of each item in turn."""
        choice = self._answer.choices[0]
        steps = self._reasoning() if choice.reasoning else []
        for i, call in enumerate(choice.tool_calls):
            steps += self._call(i, call)
        if not choice.tool_calls:
            steps += self._message()
        return steps

    def closing(self) -> list[StreamEvent]:
        """The whole response."""
        answer = self._answer
        whole = response_body.response_object(answer)
        if answer.shows_bill:
            whole["meta"] = answer.bill_object
        return [*self._pending, self._event(f"response.{whole['status']}", response=whole)]

    def done(self) -> list[StreamEvent]:
        """Nothing: the whole response is the end."""
        return []

    def error(self, sent: int) -> StreamEvent:
        """The event ``error``."""
        self._sent = sent
        return self._event("error", **response_body.SERVER_ERROR, param=None)

    def failure(self, sent: int) -> StreamEvent:
        """The response as a failed one."""
        self._sent = sent
        failed = {"status": "failed", "error": response_body.SERVER_ERROR}
        frame = response_body.response_frame(self._answer)
        return self._event("response.failed", response={**frame, **failed})

    def text(self, text: str) -> StreamEvent:
        """A piece of the message's text."""
        index = int(bool(self._answer.choices[0].reasoning))
        place: Fields = {"item_id": f"msg_{self._answer.key}", "output_index": index}
        return self._event(
            "response.output_text.delta", **place, content_index=0, delta=text, logprobs=[]
        )

    def _event(self, kind: str, **fields: Any) -> StreamEvent:
        event = {"type": kind, "sequence_number": self._sent, **fields}
        self._sent += 1
        return StreamEvent(msgspec.json.encode(event), kind.encode())

    def _reasoning(self) -> _Steps:
        """Reasoning as a summary or a text; hidden, its tokens take their time unseen."""
        answer, words = self._answer, self._answer.choices[0].reasoning
        item = response_body.reasoning_item(answer)
        place: Fields = {"item_id": item["id"], "output_index": self._items}
        empty: Fields = {"content": []} if "content" in item else {}
        start = [self._added({**item, "summary": [], **empty})]
        text = "".join(words)
        if response_body.shows_summary(answer):
            place["summary_index"] = 0
            name, kind = "response.reasoning_summary_text", "summary_text"
            part = "response.reasoning_summary_part"
        elif response_body.shows_reasoning(answer):
            place["content_index"] = 0
            name, kind = "response.reasoning_text", "reasoning_text"
            part = "response.content_part"
        else:
            steps: _Steps = [[] for _ in words]
            steps[0] = start
            steps[-1].append(self._finished(item))
            return steps
        start.append(self._event(f"{part}.added", **place, part={"type": kind, "text": ""}))
        steps = self._deltas(start, name, place, words)
        steps[-1] += [
            self._event(f"{name}.done", **place, text=text),
            self._event(f"{part}.done", **place, part={"type": kind, "text": text}),
            self._finished(item),
        ]
        return steps

    def _call(self, i: int, call: EmulatedToolCall) -> _Steps:
        """A call: its name is one token, then come its arguments."""
        item = response_body.call_item(self._answer, i, call)
        place: Fields = {"item_id": item["id"], "output_index": self._items}
        name = "response.function_call_arguments"
        steps: _Steps = [[self._added({**item, "status": "in_progress", "arguments": ""})]]
        for piece in split_tokens(call.arguments):
            steps.append([self._event(f"{name}.delta", **place, delta=piece)])
        steps[-1] += [
            self._event(f"{name}.done", **place, name=call.name, arguments=call.arguments),
            self._finished(item),
        ]
        return steps

    def _message(self) -> _Steps:
        """A message of one part, which is a text or a refusal; it may be empty."""
        choice = self._answer.choices[0]
        item = response_body.message_item(self._answer)
        part: Fields = item["content"][0]
        place: Fields = {
            "item_id": item["id"],
            "output_index": self._items,
            "content_index": 0,
        }
        start = [
            self._added({**item, "status": "in_progress", "content": []}),
            self._event("response.content_part.added", **place, part=_emptied(part)),
        ]
        if choice.refusal is not None:
            pieces = split_tokens(choice.refusal)
            steps = self._deltas(start, "response.refusal", place, pieces)
            end = [self._event("response.refusal.done", **place, refusal=choice.refusal)]
        else:
            shown = part["logprobs"]
            steps = self._text_deltas(start, place)
            text = self._event(
                "response.output_text.done", **place, text=part["text"], logprobs=shown
            )
            end = [text]
        end += [
            self._event("response.content_part.done", **place, part=part),
            self._finished(item),
        ]
        if not steps:
            self._pending = [*start, *end]
            return []
        steps[-1] += end
        return steps

    def _text_deltas(self, start: list[StreamEvent], place: Fields) -> _Steps:
        choice = self._answer.choices[0]
        tokens = choice.logprobs or [None] * len(choice.pieces)
        steps: _Steps = []
        for piece, token in zip(choice.pieces, tokens, strict=True):
            shown = [] if token is None else [logprob_object(token)]
            event = self._event("response.output_text.delta", **place, delta=piece, logprobs=shown)
            steps.append([*start, event])
            start = []
        return steps

    def _deltas(
        self, start: list[StreamEvent], name: str, place: Fields, pieces: list[str]
    ) -> _Steps:
        """A step for each piece; what begins the item comes with the first."""
        steps = [[self._event(f"{name}.delta", **place, delta=piece)] for piece in pieces]
        if steps:
            steps[0] = [*start, *steps[0]]
        return steps

    def _added(self, item: Fields) -> StreamEvent:
        return self._event("response.output_item.added", output_index=self._items, item=item)

    def _finished(self, item: Fields) -> StreamEvent:
        event = self._event("response.output_item.done", output_index=self._items, item=item)
        self._items += 1
        return event


def _emptied(part: Fields) -> Fields:
    """The part before anything has come."""
    if part["type"] == "refusal":
        return {**part, "refusal": ""}
    return {**part, "text": "", "logprobs": []}
