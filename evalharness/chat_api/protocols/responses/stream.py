"""Merging: the events of a stream → the response object that they add up to.

The last event has the whole response, and then that is it. A server that leaves the output out of
it, or a stream that is cut, has the output that its deltas add up to.
"""

from __future__ import annotations

from typing import Any

from evalharness.chat_api.lenient_json import as_list, as_object, as_text, is_object
from evalharness.chat_api.protocols.responses.answer import carries
from evalharness.chat_api.protocols.responses.output_merge import OutputMerger
from evalharness.chat_api.usage import find_usage, has_tokens

_ENDS = ("completed", "incomplete")


class ResponseMerger:
    """Takes events in order; :meth:`completion` gives the response so far.

    Attributes:
        times_ns: arrival of every event with content: a text, a refusal, reasoning, a call, audio.
        first_ns: of the first content, reasoning included; None before.
        first_output_ns: of the first content besides reasoning.
        first_reasoning_ns: of the first reasoning.
        last_reasoning_ns: of the last.
    """

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.first_ns: int | None = None
        self.first_output_ns: int | None = None
        self.first_reasoning_ns: int | None = None
        self.last_reasoning_ns: int | None = None
        self._top: dict[str, Any] = {}
        self._output = OutputMerger()

    @property
    def finished(self) -> bool:
        """Whether a response that is at its end has come."""
        return self._top.get("status") in _ENDS

    @property
    def is_counted(self) -> bool:
        """Whether a usage with tokens has come."""
        return has_tokens(find_usage(self._top))

    def add(self, chunk: dict[str, Any], at_ns: int) -> bool:
        """Merge one event that arrived at ``at_ns``; whether it has content that counts."""
        kind = as_text(chunk.get("type")) or ""
        if is_object(chunk.get("response")):
            reasoning, output = self._response(kind, as_object(chunk["response"]))
        else:
            reasoning, output = self._output.add(kind, chunk)
        if reasoning:
            self.last_reasoning_ns = at_ns
            if self.first_reasoning_ns is None:
                self.first_reasoning_ns = at_ns
        if output and self.first_output_ns is None:
            self.first_output_ns = at_ns
        if not reasoning and not output:
            return False
        self.times_ns.append(at_ns)
        if self.first_ns is None:
            self.first_ns = at_ns
        return True

    def add_texts(self, texts: list[str], times_ns: list[int]) -> None:
        """Never called: the shortcut is one of chat completions."""
        raise NotImplementedError

    def completion(self) -> dict[str, Any] | None:
        """The merged response, None when nothing of one came."""
        items = self._output.items()
        if not self._top and not items and self._output.audio is None:
            return None
        whole = as_list(self._top.get("output"))
        is_whole = whole and (_carry(whole) != (False, False) or _carry(items) == (False, False))
        response = {"object": "response", **self._top, "output": whole if is_whole else items}
        if self._output.audio is not None:
            response["audio"] = self._output.audio.plain()
        return response

    def _response(self, kind: str, response: dict[str, Any]) -> tuple[bool, bool]:
        """Take a response object; whether reasoning, or other content, came with it alone."""
        given = {key: value for key, value in response.items() if value is not None}
        self._top = {**dict.fromkeys(response), **self._top, **given}
        status = kind.removeprefix("response.")
        if as_text(given.get("status")) is None and status in (*_ENDS, "failed"):
            self._top["status"] = status
        reasoning, output = _carry(as_list(response.get("output")))
        return (
            reasoning and self.first_reasoning_ns is None,
            output and self.first_output_ns is None,
        )


def _carry(items: list[Any]) -> tuple[bool, bool]:
    """Whether any item has reasoning, and whether any has other content."""
    carried = [carries(as_object(item)) for item in items]
    return any(reasoning for reasoning, _ in carried), any(output for _, output in carried)
