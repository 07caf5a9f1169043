"""Merging: the chunks of a streamed completion → the completion they add up to.

Deltas are joined the way the official clients do, and as servers need it that do otherwise: see
:mod:`.delta_merge`. A chunk's usage and ids overwrite those before.
"""

from __future__ import annotations

from typing import Any, cast

from evalharness.chat_api.answer_content import REASONING_KEYS, read_content, reasoning_text
from evalharness.chat_api.lenient_json import as_count, as_list, as_object, as_text
from evalharness.chat_api.streams.delta_merge import add_texts, merge, merge_content, plain_json
from evalharness.chat_api.usage import find_usage, has_tokens, merge_usage

_OUTPUT = ("content", "refusal", "tool_calls", "function_call", "audio")


class _ChoicePieces:
    """A choice under construction.

    Attributes:
        fields: the choice as merged so far.
        ended: whether its finish_reason came, and no content after it.
        has_content: whether any content or reasoning came.
    """

    __slots__ = ("ended", "fields", "has_content")

    def __init__(self, index: int) -> None:
        self.fields: dict[str, Any] = {"index": index, "message": {}}
        self.ended = False
        self.has_content = False


class ChunkMerger:
    """Takes chunks in order; :meth:`completion` gives the completion so far.

    Args:
        n: how many choices the request asked for; None: unknown. Choices that nobody asked for are
            merged, and otherwise have no effect.

    Attributes:
        times_ns: arrival of each chunk that carried content (text, refusal, reasoning, tool call
            or audio), as given to :meth:`add`. Chunks with only a role or usage do not count.
        first_ns: arrival of the first of them, None before.
        first_output_ns: arrival of the first that was not reasoning alone, None before.
        first_reasoning_ns, last_reasoning_ns: arrival of the first and the last that carried
            reasoning, None before.
    """

    def __init__(self, n: int | None = None) -> None:
        self.times_ns: list[int] = []
        self.first_ns: int | None = None
        self.first_output_ns: int | None = None
        self.first_reasoning_ns: int | None = None
        self.last_reasoning_ns: int | None = None
        self._n = n
        self._top: dict[str, Any] = {}
        self._choices: dict[int, _ChoicePieces] = {}
        self._last_message: dict[str, Any] | None = None  # the message merged into last

    @property
    def is_counted(self) -> bool:
        """Whether a usage with tokens has come."""
        return has_tokens(find_usage(self._top))

    def add(self, chunk: dict[str, Any], at_ns: int) -> bool:
        """Merge one chunk that arrived at ``at_ns``; whether it has content that counts."""
        has_reasoning = has_output = False
        for key, value in chunk.items():
            if key == "choices":
                for choice in as_list(value):
                    if isinstance(choice, dict):
                        reasoning, output = self._choice(cast("dict[str, Any]", choice))
                        has_reasoning |= reasoning
                        has_output |= output
            elif isinstance(value, dict) and isinstance(self._top.get(key), dict):
                # Usage and bill may come in parts.
                self._top[key] = merge_usage(self._top[key], cast("dict[str, Any]", value))
            elif value is not None or key not in self._top:
                self._top[key] = value
        if has_reasoning:
            self.last_reasoning_ns = at_ns
            if self.first_reasoning_ns is None:
                self.first_reasoning_ns = at_ns
        if has_output and self.first_output_ns is None:
            self.first_output_ns = at_ns
        if not has_reasoning and not has_output:
            return False
        self.times_ns.append(at_ns)
        if self.first_ns is None:
            self.first_ns = at_ns
        return True

    def add_texts(self, texts: list[str], times_ns: list[int]) -> None:
        """Merge chunks that differ from the last one, which had content, only in their texts.

        Args:
            texts: of each chunk.
            times_ns: arrival of each.
        """
        assert self._last_message is not None
        add_texts(self._last_message, texts)
        self.times_ns.extend(times_ns)

    @property
    def finished(self) -> bool:
        """Whether there is a choice and every choice that was asked for is at its end."""
        return bool(self._choices) and all(
            choice.ended for index, choice in self._choices.items() if self._is_wanted(index)
        )

    def completion(self) -> dict[str, Any] | None:
        """The merged ``chat.completion``, None when no chunk came."""
        if not self._top and not self._choices:
            return None
        completion = {**self._top, "object": "chat.completion"}
        completion["choices"] = [
            plain_json(self._choices[index].fields) for index in sorted(self._choices)
        ]
        return completion

    def _is_wanted(self, index: int) -> bool:
        """Whether a choice was asked for; where none of those comes, any other stands for them."""
        return self._n is None or index < self._n or min(self._choices) >= self._n

    def _choice(self, given: dict[str, Any]) -> tuple[bool, bool]:
        """Merge one choice; whether it carried reasoning, and content besides reasoning."""
        index = as_count(given.get("index")) or 0
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _ChoicePieces(index)
        merged = choice.fields
        message = self._last_message = merged["message"]
        delta = as_object(given.get("delta"))
        if not delta and not choice.has_content:
            # Some servers put the whole message into the last chunk instead.
            delta = as_object(given.get("message"))
        if "content" in delta:
            merge_content(message, delta["content"])
            merge(message, {key: value for key, value in delta.items() if key != "content"})
        else:
            merge(message, delta)
        for key, value in given.items():
            _merge_choice_field(merged, key, value)
        reasoning, output = _carries(delta)
        choice.has_content |= reasoning or output
        if as_text(given.get("finish_reason")):
            choice.ended = True
        elif reasoning or output:
            choice.ended = False  # some servers send finish reasons too early
        return (reasoning, output) if self._is_wanted(index) else (False, False)


def _merge_choice_field(merged: dict[str, Any], key: str, value: Any) -> None:
    """Merge a field of a choice besides its message."""
    if key == "logprobs" and isinstance(value, dict):
        if not isinstance(merged.get(key), dict):
            merged[key] = {}
        merge(merged[key], cast("dict[str, Any]", value))
    elif key == "usage" and isinstance(value, dict) and isinstance(merged.get(key), dict):
        merged[key] = merge_usage(merged[key], cast("dict[str, Any]", value))
    elif key == "finish_reason":
        if as_text(value) or not merged.get(key):
            merged[key] = value
    elif key not in ("delta", "message", "index") and (value is not None or key not in merged):
        merged[key] = value


def _carries(delta: dict[str, Any]) -> tuple[bool, bool]:
    """Whether a delta carries reasoning, and content besides reasoning."""
    reasoning = output = False
    for key, value in delta.items():
        if not value:
            continue
        if key == "content" and isinstance(value, list):
            texts = read_content(cast("Any", value))
            reasoning |= bool(texts.reasoning)
            output |= bool(texts.text or texts.refusal)
        elif key in _OUTPUT:
            output = True
        elif key in REASONING_KEYS:
            reasoning |= bool(reasoning_text(value))
    return reasoning, output
