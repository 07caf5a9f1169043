"""Messages and tools in one form, so that the same conversation is the same under every protocol.

What decides a text is the conversation: how a protocol spells it does not. Parts of text are
joined, keys stand in alphabetical order, arguments of calls are written anew, and what only some
protocols can say (``strict``, the name of a schema, how much of an image to read) is left out.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

_MEDIA = ("image_url", "input_audio", "file")


def canonical_messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Chat messages in one form; instructions that follow each other are one."""
    canonical: list[dict[str, Any]] = []
    for message in map(_message, messages):
        last = canonical[-1] if canonical else message
        if last is not message and message["role"] == last["role"] == "system":
            last["content"] += message["content"]
        else:
            canonical.append(message)
    return canonical


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """Its content is a text unless it holds images or files."""
    role = message["role"]
    content = _content(message.get("content"))
    if isinstance(content, str) and isinstance(message.get("refusal"), str):
        content += message["refusal"]
    canonical: dict[str, Any] = {"content": content}
    if message.get("name") is not None:
        canonical["name"] = message["name"]
    canonical["role"] = "system" if role == "developer" else role
    if message.get("tool_call_id") is not None:
        canonical["tool_call_id"] = message["tool_call_id"]
    calls: list[dict[str, Any]] = message.get("tool_calls") or []
    if calls:
        canonical["tool_calls"] = [_call(call) for call in calls]
    return canonical


def message_text(content: Any) -> str:
    """The text of a message's content, parts joined."""
    if isinstance(content, str):
        return content
    parts = cast("list[dict[str, Any]]", content or [])
    return "".join(str(part.get("text", part.get("refusal", ""))) for part in parts)


def canonical_tools(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """The functions by name, description and parameters; None where there are none."""
    if not tools:
        return None
    keys = ("description", "name", "parameters")
    return [
        {
            "function": {
                key: tool["function"][key] for key in keys if tool["function"].get(key) is not None
            },
            "type": "function",
        }
        for tool in tools
    ]


def canonical_format(form: dict[str, Any] | None) -> dict[str, Any] | None:
    """A response format by its type and schema; None for text."""
    if form is None or form["type"] == "text":
        return None
    if form["type"] != "json_schema":
        return {"type": form["type"]}
    return {"json_schema": {"schema": form["json_schema"].get("schema")}, "type": "json_schema"}


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content or ""
    parts = cast("list[dict[str, Any]]", content)
    if not any(part.get("type") in _MEDIA for part in parts):
        return message_text(parts)
    return [_part(part) for part in parts]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "image_url":
        return {"type": kind, "url": part["image_url"].get("url")}
    if kind == "file":
        data: dict[str, Any] = part["file"]
        return {"data": data.get("file_data") or data.get("file_id"), "type": kind}
    return part


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = call.get("function") or {}
    return {
        "function": {
            "arguments": _arguments(function.get("arguments")),
            "name": function.get("name"),
        },
        "id": call.get("id"),
        "type": "function",
    }


def _arguments(arguments: Any) -> Any:
    """The arguments as compact JSON with sorted keys; as they are where they are no JSON."""
    try:
        value = msgspec.json.decode(arguments) if isinstance(arguments, str) else arguments
    except msgspec.DecodeError:
        return arguments
    return msgspec.json.encode(value, order="sorted").decode()
