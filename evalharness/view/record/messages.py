"""The prompt of a record: its messages by role, and the tools that were offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec

from evalharness.process.text import plural
from evalharness.records import shown_content
from evalharness.view.record.texts import CutText, cut, laid_out

_BASE64 = 3 / 4  # bytes in a character of it


class ToolCall(NamedTuple):
    """A call that a model asked for; ``arguments`` are JSON laid out where they are JSON."""

    name: str
    call_id: str | None
    arguments: CutText


class MessagePart(NamedTuple):
    """A text, or (``is_note``) what stands for an image, a recording or a file."""

    content: CutText
    is_note: bool = False


class Message(NamedTuple):
    """A message with its role; ``about`` is a name, or the call that it answers."""

    role: str
    about: str | None
    parts: list[MessagePart]
    tool_calls: list[ToolCall]


class OfferedTool(NamedTuple):
    """A tool that was offered; ``parameters`` are its schema."""

    name: str
    description: str | None
    parameters: CutText | None


class ShownPrompt(NamedTuple):
    """What a model was asked.

    Attributes:
        messages: in their order.
        tools: that were offered.
        was_sent: whether it is the request as sent; else the row of the dataset.
    """

    messages: list[Message]
    tools: list[OfferedTool]
    was_sent: bool


def shown_prompt(request_json: str | None, prompt: Mapping[str, Any] | None) -> ShownPrompt:
    """The prompt of a record: as it was sent, else as the dataset has it.

    Args:
        request_json: of the record.
        prompt: its row of ``prompts.parquet``; None where there is none.
    """
    request = _object(request_json)
    sent = _messages(request.get("messages"))
    if sent:
        return ShownPrompt(sent, _tools(request.get("tools")), True)
    return ShownPrompt(dataset_messages(prompt), [], False)


def dataset_messages(prompt: Mapping[str, Any] | None) -> list[Message]:
    """The messages of a row; one of fields for a template has these instead."""
    if prompt is None:
        return []
    if prompt["messages_json"] is not None:
        return _messages(_decode(prompt["messages_json"]))
    if prompt["fields_json"] is not None:
        part = MessagePart(cut(laid_out(prompt["fields_json"])))
        return [Message("fields", None, [part], [])]
    return []


def tool_calls(text: str | None) -> list[ToolCall]:
    """The calls in ``tool_calls_json``; one entry with the whole where it has another form."""
    if not text:
        return []
    return _calls(_decode(text)) or [ToolCall("", None, cut(laid_out(text)))]


def _decode(text: str | None) -> Any:
    try:
        return None if text is None else msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


def _object(text: str | None) -> dict[str, Any]:
    value = _decode(text)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _items(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; nothing of anything else."""
    if not isinstance(value, list):
        return []
    items = cast("list[Any]", value)
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _messages(value: Any) -> list[Message]:
    return [
        Message(
            role=_text(message.get("role")) or "no role",
            about=_text(message.get("name")) or _text(message.get("tool_call_id")),
            parts=_parts(message),
            tool_calls=_calls(message.get("tool_calls")),
        )
        for message in _items(value)
    ]


def _parts(message: dict[str, Any]) -> list[MessagePart]:
    content = message.get("content")
    if isinstance(content, str):
        return [MessagePart(cut(content))]
    if content is None:
        return []
    if not isinstance(content, list):
        return [MessagePart(cut(_json(content)))]
    return [_part(part) for part in cast("list[Any]", content)]


def _part(part: Any) -> MessagePart:
    if isinstance(part, str):
        return MessagePart(cut(part))
    if not isinstance(part, dict):
        return MessagePart(cut(_json(part)))
    fields = cast("dict[str, Any]", part)
    kind, value = fields.get("type"), fields.get(str(fields.get("type")))
    if kind in ("text", "input_text", "output_text") and isinstance(fields.get("text"), str):
        return MessagePart(cut(fields["text"]))
    if kind in ("image_url", "input_audio", "file") and isinstance(value, dict):
        return MessagePart(cut(_note(kind, cast("dict[str, Any]", value))), is_note=True)
    return MessagePart(cut(_json(shown_content([fields]))), is_note=True)


def _note(kind: str, value: dict[str, Any]) -> str:
    """What stands for data: nothing of it is loaded or drawn."""
    if kind == "image_url":
        return f"image {_place(_text(value.get('url')) or '')}"
    if kind == "input_audio":
        data = _text(value.get("data")) or ""
        return f"recording: {_text(value.get('format')) or 'unknown format'}, {_size(data)}"
    name = _text(value.get("filename")) or _text(value.get("file_id")) or "without a name"
    return f"file {name}: {_place(_text(value.get('file_data')) or '')}"


def _place(url: str) -> str:
    if not url.startswith("data:"):
        return f"at {url}" if url else "elsewhere"
    head, _, data = url.removeprefix("data:").partition(",")
    return f"{head.partition(';')[0] or 'data'}, {_size(data)}"


def _size(data: str) -> str:
    return plural(round(len(data.rstrip("=")) * _BASE64), "byte")


def _calls(value: Any) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for item in _items(value):
        function = item.get("function")
        fields = cast("dict[str, Any]", function) if isinstance(function, dict) else item
        arguments = fields.get("arguments")
        text = arguments if isinstance(arguments, str) else _json(arguments)
        name = _text(fields.get("name")) or "without a name"
        calls.append(ToolCall(name, _text(item.get("id")), cut(laid_out(text))))
    return calls


def _tools(value: Any) -> list[OfferedTool]:
    tools: list[OfferedTool] = []
    for item in _items(value):
        function = item.get("function")
        fields = cast("dict[str, Any]", function) if isinstance(function, dict) else item
        name = _text(fields.get("name")) or _text(item.get("type")) or "without a name"
        schema = fields.get("parameters")
        shown = None if schema is None else cut(laid_out(_json(schema)))
        tools.append(OfferedTool(name, _text(fields.get("description")), shown))
    return tools


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
