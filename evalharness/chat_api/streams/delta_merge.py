"""Merging of deltas: the pieces of a message → the message that they add up to.

Texts are concatenated, tool calls are told apart by id, name and index, lists (logprobs,
annotations) are extended, everything else is overwritten by what comes last. Fields nobody knows
are merged by the same rules, so they survive.
"""

from __future__ import annotations

from typing import Any, cast

from evalharness.chat_api.answer_content import part_text
from evalharness.chat_api.lenient_json import as_list, as_object
from evalharness.chat_api.streams.item_merge import ItemPieces

# Texts that name something, as opposed to texts that come piece by piece.
_NAMES = frozenset({"role", "type", "id", "object", "model", "format", "status", "signature"})
_ITEM_LISTS = frozenset({"tool_calls", "reasoning_details"})
_MAX_DEPTH = 16  # below this a delta's object replaces the one before
_MAX_THINKING_DEPTH = 3  # below this reasoning within reasoning is kept as it came


class TextPieces(list[str]):
    """A text under construction (concatenating strings would take quadratic time)."""


class PartPieces(list[Any]):
    """A list of content parts under construction; neighbouring texts are one text.

    Only so are the two halves of a character, which two parts may hold, joined.
    """

    def add_text(self, text: str) -> None:
        """Add a text, to the last part where that is one."""
        if self and isinstance(self[-1], TextPieces):
            self[-1].append(text)
        elif text or not self:
            self.append(TextPieces([text]))

    def add(self, parts: list[Any], depth: int = 0) -> None:
        """Add parts in order; ``depth`` is that of reasoning within reasoning."""
        for part in parts:
            text = part_text(part)
            if text is not None and (isinstance(part, str) or _is_plain(part)):
                self.add_text(text)
            elif not self._continues_thinking(fields := as_object(part), depth):
                self.append({**fields, **_open_thinking(fields, depth)} if fields else part)

    def _continues_thinking(self, part: dict[str, Any], depth: int) -> bool:
        """Add a piece of reasoning to the last part, where that is reasoning without an end."""
        last = as_object(self[-1]) if self else {}
        if last.keys() != {"type", "thinking"} or last["type"] != part.get("type"):
            return False
        thinking, more = last["thinking"], part.get("thinking")
        if isinstance(thinking, TextPieces) and isinstance(more, str):
            thinking.append(more)
        elif isinstance(thinking, PartPieces) and isinstance(more, list):
            thinking.add(as_list(more), depth + 1)
        else:
            return False
        last.update({key: value for key, value in part.items() if key != "thinking"})
        return True


def _is_plain(part: dict[str, Any]) -> bool:
    return part.keys() <= {"type", "text"} and part.get("type", "text") == "text"


def _open_thinking(part: dict[str, Any], depth: int) -> dict[str, Any]:
    """The reasoning of a part in a form that can go on."""
    thinking = part.get("thinking")
    if isinstance(thinking, str):
        return {"thinking": TextPieces([thinking])}
    if isinstance(thinking, list) and depth < _MAX_THINKING_DEPTH:
        pieces = PartPieces()
        pieces.add(as_list(thinking), depth + 1)
        return {"thinking": pieces}
    return {}


def merge_content(message: dict[str, Any], content: Any) -> None:
    """Merge a content, which may come as texts, as lists of parts, or as both in turn."""
    old = message.get("content")
    if content is None:
        message.setdefault("content", None)
    elif isinstance(content, list):
        if not isinstance(old, PartPieces):
            before = "".join(old) if isinstance(old, TextPieces) else ""
            old = message["content"] = PartPieces([TextPieces([before])] if before else [])
        old.add(as_list(content))
    elif not isinstance(content, str):
        message["content"] = content
    elif isinstance(old, PartPieces):
        old.add_text(content)
    else:
        _merge_text(message, "content", content)


def add_texts(message: dict[str, Any], texts: list[str]) -> None:
    """Merge further texts into a content that has had one."""
    content = message["content"]
    (content[-1] if isinstance(content, PartPieces) else content).extend(texts)


def merge(into: dict[str, Any], delta: dict[str, Any], depth: int = 0) -> None:
    """Merge a delta into what has come before."""
    for key, value in delta.items():
        old = into.get(key)
        if value is None:
            into.setdefault(key, None)
        elif isinstance(value, str):
            _merge_text(into, key, value)
        elif isinstance(value, dict) and depth < _MAX_DEPTH and key != "arguments":
            if not isinstance(old, dict):
                old = into[key] = {}
            merge(cast("dict[str, Any]", old), cast("dict[str, Any]", value), depth + 1)
        elif isinstance(value, list) and key in _ITEM_LISTS:
            if not isinstance(old, ItemPieces):
                old = into[key] = ItemPieces()
            for piece in as_list(value):
                if isinstance(piece, dict):
                    fields = cast("dict[str, Any]", piece)
                    merge(old.item_of(fields), fields, depth + 1)
        elif isinstance(value, list) and type(old) is list:
            cast("list[Any]", old).extend(cast("list[Any]", value))
        elif isinstance(value, list):
            into[key] = list(cast("list[Any]", value))
        else:
            into[key] = value  # arguments given as an object are whole


def _merge_text(into: dict[str, Any], key: str, value: str) -> None:
    old = into.get(key)
    if not value and old is not None:
        return
    if key in _NAMES:
        into[key] = value
    elif not isinstance(old, TextPieces) or old == [""]:
        into[key] = TextPieces([value])
    # Some servers repeat the whole name of a called function with every piece of arguments.
    elif key != "name" or old != [value]:
        old.append(value)


def plain_json(value: Any, depth: int = 0) -> Any:
    """What is under construction turned into plain JSON values."""
    if isinstance(value, TextPieces):
        return "".join(value)
    if isinstance(value, ItemPieces):
        return [plain_json(item, depth + 1) for item in value.in_order()]
    if isinstance(value, PartPieces):
        return [
            {"type": "text", "text": "".join(part)}
            if isinstance(part, TextPieces)
            else plain_json(part, depth + 1)
            for part in value
        ]
    # Nothing is under construction deeper than the merge went (two more: choice and message).
    if isinstance(value, dict) and depth <= _MAX_DEPTH + 2:
        fields = cast("dict[str, Any]", value)
        return {key: plain_json(item, depth + 1) for key, item in fields.items()}
    return cast("Any", value)
