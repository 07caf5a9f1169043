"""Merging: the chunks of a streamed completion → the completion they add up to.

Deltas are joined the way the official clients do: texts are concatenated, tool calls are matched
by ``index``, lists (logprobs, annotations) are extended, everything else is overwritten by what
comes last. Fields nobody knows are merged by the same rules, so they survive.
"""

from __future__ import annotations

from typing import Any, cast

from evalharness.chat_api.lenient_json import as_count, as_list, as_object, as_text

# Texts that name something, as opposed to texts that come piece by piece.
_NAMES = frozenset({"role", "type", "id", "object", "model", "format", "status", "signature"})
_INDEXED = frozenset({"tool_calls", "reasoning_details"})
_REASONING = ("reasoning_content", "reasoning")
_OUTPUT = ("content", "refusal", "tool_calls", "function_call", "audio")
_MAX_DEPTH = 16  # below this a delta's object replaces the one before


class _TextPieces(list[str]):
    """A text under construction (concatenating strings would take quadratic time)."""


class _IndexedItems(dict[int, dict[str, Any]]):
    """A list under construction whose items are addressed by index."""


class ChunkMerger:
    """Takes chunks in order; :meth:`completion` gives the completion so far.

    Attributes:
        times_ns: arrival of each chunk that carried content (text, refusal, reasoning, tool call
            or audio), as given to :meth:`add`. Chunks with only a role or usage do not count.
        first_ns: arrival of the first of them, None before.
        first_output_ns: arrival of the first that was not reasoning alone, None before.
    """

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.first_ns: int | None = None
        self.first_output_ns: int | None = None
        self._top: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._last_message: dict[str, Any] | None = None  # the message merged into last

    def add(self, chunk: dict[str, Any], at_ns: int) -> None:
        """Merge one chunk that arrived at ``at_ns``."""
        has_content = has_output = False
        for key, value in chunk.items():
            if key == "choices":
                for choice in as_list(value):
                    if isinstance(choice, dict):
                        content, output = self._choice(cast("dict[str, Any]", choice))
                        has_content |= content
                        has_output |= output
            elif value is not None or key not in self._top:
                self._top[key] = value
        if has_content:
            self.times_ns.append(at_ns)
            if self.first_ns is None:
                self.first_ns = at_ns
            if has_output and self.first_output_ns is None:
                self.first_output_ns = at_ns

    def add_texts(self, texts: list[str], times_ns: list[int]) -> None:
        """Merge chunks that differ from the last one, which had content, only in their texts.

        Args:
            texts: of each chunk.
            times_ns: arrival of each.
        """
        assert self._last_message is not None
        self._last_message["content"].extend(texts)
        self.times_ns.extend(times_ns)

    @property
    def finished(self) -> bool:
        """Whether there is a choice and every choice has its finish_reason."""
        return bool(self._choices) and all(
            as_text(choice.get("finish_reason")) for choice in self._choices.values()
        )

    def completion(self) -> dict[str, Any] | None:
        """The merged ``chat.completion``, None when no chunk came."""
        if not self._top and not self._choices:
            return None
        completion = {**self._top, "object": "chat.completion"}
        completion["choices"] = [
            _plain_json(self._choices[index]) for index in sorted(self._choices)
        ]
        return completion

    def _choice(self, given: dict[str, Any]) -> tuple[bool, bool]:
        """Merge one choice; whether it carried content, and content besides reasoning."""
        index = as_count(given.get("index")) or 0
        merged = self._choices.setdefault(index, {"index": index, "message": {}})
        message = self._last_message = merged["message"]
        delta = as_object(given.get("delta"))
        if not delta and not message:
            # Some servers put the whole message into the last chunk instead.
            delta = as_object(given.get("message"))
        _merge(message, delta)
        for key, value in given.items():
            if key == "logprobs" and isinstance(value, dict):
                if not isinstance(merged.get(key), dict):
                    merged[key] = {}
                _merge(merged[key], cast("dict[str, Any]", value))
            elif key not in ("delta", "message", "index") and (
                value is not None or key not in merged
            ):
                merged[key] = value
        filled = {key for key, value in delta.items() if value}
        has_output = not filled.isdisjoint(_OUTPUT)
        return has_output or not filled.isdisjoint(_REASONING), has_output


def _merge(into: dict[str, Any], delta: dict[str, Any], depth: int = 0) -> None:
    for key, value in delta.items():
        old = into.get(key)
        if value is None:
            into.setdefault(key, None)
        elif isinstance(value, str):
            _merge_text(into, key, value)
        elif isinstance(value, dict) and depth < _MAX_DEPTH:
            if not isinstance(old, dict):
                old = into[key] = {}
            _merge(cast("dict[str, Any]", old), cast("dict[str, Any]", value), depth + 1)
        elif isinstance(value, list) and key in _INDEXED:
            if not isinstance(old, _IndexedItems):
                old = into[key] = _IndexedItems()
            _merge_indexed(old, cast("list[Any]", value), depth)
        elif isinstance(value, list) and isinstance(old, list) and not isinstance(old, _TextPieces):
            cast("list[Any]", old).extend(cast("list[Any]", value))
        elif isinstance(value, list):
            into[key] = list(cast("list[Any]", value))
        else:
            into[key] = value


def _merge_text(into: dict[str, Any], key: str, value: str) -> None:
    old = into.get(key)
    if key in _NAMES:
        if value or old is None:
            into[key] = value
    elif not isinstance(old, _TextPieces):
        into[key] = _TextPieces([value])
    # Some servers repeat the whole name of a called function with every piece of arguments.
    elif key != "name" or old != [value]:
        old.append(value)


def _merge_indexed(into: _IndexedItems, items: list[Any], depth: int) -> None:
    for item in items:
        if not isinstance(item, dict):
            continue
        fields = cast("dict[str, Any]", item)
        index = as_count(fields.get("index"))
        if index is None:
            # Without an index, an id begins a new item and anything else goes on with the last.
            last = max(into, default=-1)
            index = last + 1 if fields.get("id") or last < 0 else last
        _merge(into.setdefault(index, {}), fields, depth + 1)


def _plain_json(value: Any, depth: int = 0) -> Any:
    """What is under construction turned into plain JSON values."""
    if isinstance(value, _TextPieces):
        return "".join(value)
    if isinstance(value, _IndexedItems):
        return [_plain_json(value[index], depth + 1) for index in sorted(value)]
    # Nothing is under construction deeper than the merge went (two more: choice and message).
    if isinstance(value, dict) and depth <= _MAX_DEPTH + 2:
        fields = cast("dict[str, Any]", value)
        return {key: _plain_json(item, depth + 1) for key, item in fields.items()}
    return cast("Any", value)
