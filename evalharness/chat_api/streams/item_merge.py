"""Which tool call a piece of a stream belongs to.

Documented is an index for each call, its id and name in its first piece. Servers also give every
call the index 0, repeat id and name in each piece, leave ids empty or out, or send whole calls. So
a new id begins a new call, whatever the index says; where ids are empty, a new name does.
"""

from __future__ import annotations

from typing import Any, cast

from evalharness.chat_api.lenient_json import as_count, as_object, as_text, parse_json

_MAX_NAME_PIECES = 32  # a name in more pieces is compared no longer: that would be quadratic


class ItemPieces:
    """A list under construction whose items (tool calls, reasoning details) come in pieces."""

    __slots__ = ("_by_id", "_by_index", "_items")

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._by_id: dict[str, dict[str, Any]] = {}
        self._by_index: dict[int, dict[str, Any]] = {}

    def item_of(self, piece: dict[str, Any]) -> dict[str, Any]:
        """The item that a piece belongs to, a new one where it begins one."""
        key, index = _id(piece), as_count(piece.get("index"))
        begun = self._begun_item(piece, key, index)
        item: dict[str, Any] = {} if begun is None else begun
        if begun is None:
            self._items.append(item)
        if key is not None:
            self._by_id[key] = item
        if index is not None:
            self._by_index[index] = item
        return item

    def in_order(self) -> list[dict[str, Any]]:
        """The items by their indexes, or as they came where the indexes do not tell them apart."""
        indexes = [as_count(item.get("index")) for item in self._items]
        if None in indexes or len(set(indexes)) < len(indexes):
            return self._items
        order = sorted(range(len(indexes)), key=lambda at: cast("list[int]", indexes)[at])
        return [self._items[at] for at in order]

    def _begun_item(
        self, piece: dict[str, Any], key: str | None, index: int | None
    ) -> dict[str, Any] | None:
        """The item that a piece goes on with; None where it begins a new one."""
        if not self._items:
            return None
        if key is not None and key in self._by_id:
            item = self._by_id[key]
            # One id for several calls: only a whole call under another index is another one.
            other = index is not None and as_count(item.get("index")) not in (None, index)
            return None if other and _name(piece) and _is_another_whole(piece, item) else item
        item = self._items[-1] if index is None else self._by_index.get(index)
        if item is None:
            # Arguments alone begin no call, whatever index they have.
            last = self._items[-1]
            return last if key is None and not _name(piece) and _name(last) else None
        return None if _begins(piece, key, item) else item


def _begins(piece: dict[str, Any], key: str | None, item: dict[str, Any]) -> bool:
    """Whether a piece begins a new item rather than go on with the one at its index."""
    name, item_key = _name(piece), _id(item)
    if key is not None and (item_key is not None or (name and _name(item))):
        return True
    if piece.get("type") and item.get("type") and piece["type"] != item["type"]:
        return True
    item_name = _name(item)
    if key is not None or not name or not item_name:
        return False
    if name != item_name:
        return item_key is None or bool(_arguments(item))
    return item_key is None and _is_another_whole(piece, item)


def _id(item: dict[str, Any]) -> str | None:
    value = item.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return as_text(value) or None


def _function(item: dict[str, Any]) -> dict[str, Any]:
    return as_object(item.get("function")) or as_object(item.get("custom")) or item


def _name(item: dict[str, Any]) -> str | None:
    """The name of a called function, None without one or where it has too many pieces."""
    name = _function(item).get("name")
    if isinstance(name, list):
        pieces = cast("list[str]", name)
        return "".join(pieces) if len(pieces) <= _MAX_NAME_PIECES else None
    return as_text(name)


def _arguments(item: dict[str, Any]) -> Any:
    """The arguments of a call: an object, a text, or a text in pieces."""
    arguments = _function(item).get("arguments")
    return None if arguments == [""] else arguments


def _is_another_whole(piece: dict[str, Any], item: dict[str, Any]) -> bool:
    """Whether a piece begins arguments where those before came in one piece and are complete."""
    more, arguments = _arguments(piece), _arguments(item)
    if not isinstance(more, dict) and not (as_text(more) or "").lstrip().startswith("{"):
        return False
    pieces = cast("list[str]", arguments) if isinstance(arguments, list) else []
    if len(pieces) == 1:
        document = parse_json(pieces[0].encode("utf-8", "replace"))
        return document is not None and isinstance(document.value, dict)
    return isinstance(arguments, dict)
