"""The prompt of a record: its messages by role, and the tools that were offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec

from evalharness.process.text import plural
from evalharness.records import shown_content, with_places
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
    sent = _messages(request.get("messages")) or _input_messages(request.get("input"))
    if sent:
        # Of the Messages API and of the Responses API: texts before the conversation.
        for name, role in (("system", "system"), ("instructions", "instructions")):
            if request.get(name):
                sent = [*_messages([{"role": role, "content": request[name]}]), *sent]
        return ShownPrompt(sent, _tools(request.get("tools")), True)
    return ShownPrompt(dataset_messages(prompt), [], False)


def dataset_messages(prompt: Mapping[str, Any] | None) -> list[Message]:
    """The messages of a row; one of fields for a template has these instead."""
    if prompt is None:
        return []
    if prompt["messages_json"] is not None:
        return _messages(with_places(_items(_decode(prompt["messages_json"])), prompt.get("turn")))
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
            tool_calls=_calls(message.get("tool_calls")) + _calls(_tool_uses(message)),
        )
        for message in _items(value)
    ]


def _input_messages(value: Any) -> list[Message]:
    """The input of the Responses API; items of other types as they are."""
    if isinstance(value, str) and value:
        return _messages([{"role": "user", "content": value}])
    shown: list[Message] = []
    for item in _items(value):
        kind, call_id = _text(item.get("type")) or "message", _text(item.get("call_id"))
        if kind == "message":
            shown += _messages([item])
        elif kind.endswith("_call"):
            calls = _calls([{**item, "id": call_id}])
            if shown and shown[-1].role == "assistant":  # a turn's calls are items behind its text
                shown[-1] = shown[-1]._replace(tool_calls=[*shown[-1].tool_calls, *calls])
            else:
                shown.append(Message("assistant", None, [], calls))
        elif kind.endswith("_call_output"):
            shown.append(Message("tool", call_id, _parts({"content": item.get("output")}), []))
        else:
            shown.append(Message(kind, None, [MessagePart(cut(laid_out(_json(item))))], []))
    return shown


def _parts(message: dict[str, Any]) -> list[MessagePart]:
    content = message.get("content")
    if isinstance(content, str):
        return [MessagePart(cut(content))]
    if content is None:
        return []
    if not isinstance(content, list):
        return [MessagePart(cut(_json(content)))]
    calls = _tool_uses(message)
    shown: list[MessagePart] = []
    for part in cast("list[Any]", content):
        if isinstance(part, dict) and part.get("type") == "tool_result":  # pyright: ignore[reportUnknownMemberType]
            result = cast("dict[str, Any]", part)
            call_id = _text(result.get("tool_use_id")) or "a call without an id"
            shown.append(MessagePart(cut(f"result of {call_id}"), is_note=True))
            shown += _parts({"content": result.get("content")})
        elif part not in calls:
            shown.append(_part(part))
    return shown


def _tool_uses(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls among the content blocks of a message of the Messages API."""
    return [block for block in _items(message.get("content")) if block.get("type") == "tool_use"]


def _part(part: Any) -> MessagePart:
    if isinstance(part, str):
        return MessagePart(cut(part))
    if not isinstance(part, dict):
        return MessagePart(cut(_json(part)))
    fields = cast("dict[str, Any]", part)
    kind, value = fields.get("type"), fields.get(str(fields.get("type")))
    if kind in ("text", "input_text", "output_text") and isinstance(fields.get("text"), str):
        return MessagePart(cut(fields["text"]))
    if kind == "input_image" and isinstance(fields.get("image_url"), str):
        return MessagePart(cut(_note("image_url", {"url": fields["image_url"]})), is_note=True)
    if kind == "input_file":
        return MessagePart(cut(_note("file", fields)), is_note=True)
    if kind in ("image_url", "input_audio", "file") and isinstance(value, dict):
        return MessagePart(cut(_note(kind, cast("dict[str, Any]", value))), is_note=True)
    source = fields.get("source")
    if kind in ("image", "document") and isinstance(source, dict):
        return MessagePart(cut(_source_note(kind, cast("dict[str, Any]", source))), is_note=True)
    return MessagePart(cut(_json(shown_content([fields]))), is_note=True)


def _source_note(kind: str, source: dict[str, Any]) -> str:
    """What stands for the source of an image or document of the Messages API."""
    data = _text(source.get("data"))
    if data is None:
        return f"{kind} at {_text(source.get('url')) or _text(source.get('file_id')) or 'unknown'}"
    return f"{kind} {_text(source.get('media_type')) or 'data'}, {_size(data)}"


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
        arguments = fields.get("arguments", fields.get("input"))
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
        schema = fields.get("parameters", fields.get("input_schema"))
        shown = None if schema is None else cut(laid_out(_json(schema)))
        tools.append(OfferedTool(name, _text(fields.get("description")), shown))
    return tools


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
