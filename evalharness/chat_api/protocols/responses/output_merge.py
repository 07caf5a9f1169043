"""The output items of a streamed response, as their events add up to them.

An event names its item by ``output_index``, and a part of it by ``content_index`` or
``summary_index``. Deltas are joined; what says that something is done has the whole of it, and
replaces what was joined unless it has nothing. Events of other types change nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from evalharness.chat_api.lenient_json import as_count, as_list, as_object, as_text, is_object
from evalharness.chat_api.protocols.responses.answer import carries


class _Text(NamedTuple):
    """Where the text of an event belongs.

    Attributes:
        item: the type of its item.
        list_name: of the parts of the item; None: it is the item's own.
        part: the type of its part.
        key: of the text.
        reasoning, output: what it counts as; a tool that the server runs counts as neither.
    """

    item: str
    list_name: str | None
    part: str
    key: str
    reasoning: bool = False
    output: bool = False


TEXTS = {
    "response.output_text": _Text("message", "content", "output_text", "text", output=True),
    "response.refusal": _Text("message", "content", "refusal", "refusal", output=True),
    "response.reasoning_text": _Text(
        "reasoning", "content", "reasoning_text", "text", reasoning=True
    ),
    "response.reasoning_summary_text": _Text(
        "reasoning", "summary", "summary_text", "text", reasoning=True
    ),
    "response.function_call_arguments": _Text("function_call", None, "", "arguments", output=True),
    "response.custom_tool_call_input": _Text("custom_tool_call", None, "", "input", output=True),
    "response.mcp_call_arguments": _Text("mcp_call", None, "", "arguments"),
    "response.code_interpreter_call_code": _Text("code_interpreter_call", None, "", "code"),
}
PARTS = {
    "response.content_part.added": "content", "response.content_part.done": "content",
    "response.reasoning_summary_part.added": "summary",
    "response.reasoning_summary_part.done": "summary",
}  # fmt: skip
ITEMS = ("response.output_item.added", "response.output_item.done")
AUDIO = {"response.audio.delta": "data", "response.audio.transcript.delta": "transcript"}
_NOTHING = (False, False)


class _Pieces:
    """An object of which texts and lists come in pieces."""

    __slots__ = ("_texts", "fields")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields
        self._texts: dict[str, list[str]] = {}

    def append(self, key: str, text: str) -> None:
        if key not in self._texts:
            self._texts[key] = [as_text(self.fields.get(key)) or ""]
        self._texts[key].append(text)

    def replace(self, key: str, text: str) -> bool:
        """Set the whole of a text, unless it is empty; whether none had come before."""
        if not text:
            return False
        is_new = not self.fields.get(key) and not any(self._texts.get(key, ()))
        self._texts[key] = [text]
        return is_new

    def extend(self, key: str, values: list[Any]) -> None:
        if values and isinstance(self.fields.get(key), list):
            self.fields[key].extend(values)
        elif values:
            self.fields[key] = [*values]

    def plain(self) -> dict[str, Any]:
        return self.fields | {key: "".join(texts) for key, texts in self._texts.items()}


class _Item(_Pieces):
    """An output item, with its lists of parts."""

    __slots__ = ("has_output", "has_reasoning", "parts")

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.has_reasoning, self.has_output = carries(fields)
        self.parts = {
            name: {at: _Pieces({**as_object(part)}) for at, part in enumerate(as_list(values))}
            for name in ("content", "summary")
            if (values := fields.get(name)) and isinstance(values, list)
        }

    def part(self, list_name: str, index: int | None) -> _Pieces:
        """A part of a list, the first one where no index is given."""
        return self.parts.setdefault(list_name, {}).setdefault(index or 0, _Pieces({}))

    def plain(self) -> dict[str, Any]:
        lists = {
            name: [parts[at].plain() for at in sorted(parts)] for name, parts in self.parts.items()
        }
        return {**super().plain(), **lists}


class OutputMerger:
    """Takes the events that are about output.

    Attributes:
        audio: sound and its transcript, which belong to no item; None without.
    """

    def __init__(self) -> None:
        self.audio: _Pieces | None = None
        self._items: dict[int, _Item] = {}
        self._last = 0

    def items(self) -> list[dict[str, Any]]:
        """The items so far, in order."""
        return [self._items[index].plain() for index in sorted(self._items)]

    def add(self, kind: str, event: dict[str, Any]) -> tuple[bool, bool]:
        """Merge an event; whether it carried reasoning, and content besides reasoning."""
        stem, _, end = kind.rpartition(".")
        if stem in TEXTS and end in ("delta", "done"):
            return self._text(TEXTS[stem], event, whole=end == "done")
        if kind in ITEMS:
            return self._item(event)
        if kind in PARTS:
            return self._part(PARTS[kind], event)
        if kind in AUDIO:
            return self._audio(AUDIO[kind], as_text(event.get("delta")) or "")
        if kind == "response.output_text.annotation.added" and is_object(event.get("annotation")):
            part = self._part_of(event, "message", "content")
            part.extend("annotations", [event["annotation"]])
        return _NOTHING

    def _index(self, event: dict[str, Any], key: Any, kind: Any) -> int:
        """The place of an event's item: as stated, else that of its id, else of the last event.

        An event without a place that goes on with no item begins one.
        """
        index = as_count(event.get("output_index"))
        if index is None and isinstance(key, str):
            places = (at for at, item in self._items.items() if item.fields.get("id") == key)
            index = next(places, None)
        if index is None:
            last = self._items.get(self._last)
            goes_on = last is not None and "item" not in event and last.fields.get("type") == kind
            index = self._last if goes_on else max(self._items, default=-1) + 1
        self._last = index
        return index

    def _item_of(self, event: dict[str, Any], kind: str) -> _Item:
        key = event.get("item_id")
        index = self._index(event, key, kind)
        if index not in self._items:
            given = {"id": key} if isinstance(key, str) else {}
            self._items[index] = _Item({"type": kind, **given})
        return self._items[index]

    def _part_of(self, event: dict[str, Any], kind: str, list_name: str) -> _Pieces:
        key = "summary_index" if list_name == "summary" else "content_index"
        return self._item_of(event, kind).part(list_name, as_count(event.get(key)))

    def _text(self, text: _Text, event: dict[str, Any], *, whole: bool) -> tuple[bool, bool]:
        item = self._item_of(event, text.item)
        target: _Pieces = item
        if text.list_name is not None:
            target = self._part_of(event, text.item, text.list_name)
            target.fields.setdefault("type", text.part)
        value = as_text(event.get(text.key if whole else "delta")) or ""
        if whole:
            carried = target.replace(text.key, value)
            if as_list(event.get("logprobs")):
                target.fields["logprobs"] = event["logprobs"]
        else:
            carried = bool(value)
            target.append(text.key, value)
            target.extend("logprobs", as_list(event.get("logprobs")))
        item.has_reasoning |= carried and text.reasoning
        item.has_output |= carried and text.output
        return carried and text.reasoning, carried and text.output

    def _item(self, event: dict[str, Any]) -> tuple[bool, bool]:
        if not is_object(event.get("item")):
            return _NOTHING
        new = _Item({**as_object(event["item"])})
        index = self._index(event, new.fields.get("id"), new.fields.get("type"))
        old = self._items.get(index)
        if old is None:
            self._items[index] = new
            return new.has_reasoning, new.has_output
        before = old.has_reasoning, old.has_output
        if new.has_reasoning or new.has_output or before == _NOTHING:
            self._items[index] = new
        else:
            rest = {k: v for k, v in new.fields.items() if k not in ("content", "summary") and v}
            old.fields |= rest
        return new.has_reasoning and not before[0], new.has_output and not before[1]

    def _part(self, list_name: str, event: dict[str, Any]) -> tuple[bool, bool]:
        given = as_object(event.get("part"))
        kind = "reasoning" if given.get("type") in ("reasoning_text", "summary_text") else "message"
        part = self._part_of(event, kind, list_name)
        key = "refusal" if given.get("type") == "refusal" else "text"
        carried = part.replace(key, as_text(given.get(key)) or "")
        for name, value in given.items():
            if name != key and (value or name not in part.fields):
                part.fields[name] = value
        part.fields.setdefault(key, "")
        item = self._items[self._last]
        item.has_reasoning |= carried and kind == "reasoning"
        item.has_output |= carried and kind == "message"
        return carried and kind == "reasoning", carried and kind == "message"

    def _audio(self, key: str, delta: str) -> tuple[bool, bool]:
        self.audio = self.audio or _Pieces({})
        self.audio.append(key, delta)
        return False, bool(delta)
