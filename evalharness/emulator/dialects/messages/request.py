"""A request to ``/v1/messages`` as the chat completion that asks for the same."""

from __future__ import annotations

import base64
from typing import Any, cast

import msgspec

from evalharness.emulator.validation.parsed_request import CacheMark

Body = dict[str, Any]

_BEFORE_MESSAGES = -1


def chat_body(body: Body) -> tuple[Body, tuple[CacheMark, ...]]:
    """The chat completion, and the places up to which the prompt shall be cached."""
    messages, marks = _messages(body)
    chat: Body = {
        "model": body["model"],
        "messages": messages,
        "max_tokens": body.get("max_tokens"),
        "stream": body.get("stream") is True,
    }
    for name, chat_name in (
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("stop_sequences", "stop"),
        ("thinking", "thinking"),
    ):
        if body.get(name) is not None:
            chat[chat_name] = body[name]
    output: Body = body.get("output_config") or {}
    if output.get("effort") is not None:
        chat["reasoning_effort"] = output["effort"]
    if output.get("format") is not None:
        schema = output["format"]["schema"]
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    if body.get("tools"):
        chat["tools"] = [_tool(tool) for tool in body["tools"]]
    choice: Body = body.get("tool_choice") or {"type": "auto"}
    named = {"type": "function", "function": {"name": choice.get("name")}}
    choices: Body = {"auto": "auto", "any": "required", "none": "none", "tool": named}
    chat["tool_choice"] = choices[choice["type"]]
    # Two calls at once only where a request says that it takes them: as in chat completions.
    chat["parallel_tool_calls"] = choice.get("disable_parallel_tool_use") is False
    return chat, tuple(marks)


def _messages(body: Body) -> tuple[list[Body], list[CacheMark]]:
    messages: list[Body] = []
    marks = [
        CacheMark(_BEFORE_MESSAGES, _lives_an_hour(tool))
        for tool in body.get("tools") or ()
        if tool.get("cache_control")
    ]

    def mark(block: Body) -> None:
        if block.get("cache_control"):
            marks.append(CacheMark(len(messages) - 1, _lives_an_hour(block)))

    blocks: list[Body]
    system: Any = body.get("system") or []
    if isinstance(system, str):
        messages.append({"role": "system", "content": system})
    else:
        blocks = system
        if blocks:
            messages.append({"role": "system", "content": _content(blocks)})
        for block in blocks:
            mark(block)
    for message in body["messages"]:
        content: Any = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        messages += _turn(message["role"], blocks)
        for block in blocks:
            mark(block)
    mark(body)
    return messages, marks


def _lives_an_hour(block: Body) -> bool:
    return block["cache_control"].get("ttl") == "1h"


def _turn(role: str, blocks: list[Body]) -> list[Body]:
    """The chat messages of a turn: one for each tool's result, and one for all the rest."""
    results = [
        {
            "role": "tool",
            "tool_call_id": block["tool_use_id"],
            "content": _content(block.get("content") or ""),
        }
        for block in blocks
        if block["type"] == "tool_result"
    ]
    shown = [block for block in blocks if block["type"] in ("text", "image", "document")]
    calls = [_call(block) for block in blocks if block["type"] == "tool_use"]
    if not shown and not calls:
        return results
    message: Body = {"role": role, "content": _content(shown)}
    if calls:
        message["tool_calls"] = calls
    return [*results, message]


def _call(block: Body) -> Body:
    arguments = msgspec.json.encode(block["input"]).decode()
    function = {"name": block["name"], "arguments": arguments}
    return {"id": block["id"], "type": "function", "function": function}


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [_part(block) for block in cast("list[Body]", content)]


def _part(block: Body) -> Body:
    if block["type"] == "text":
        return {"type": "text", "text": block["text"]}
    source: Body = block["source"]
    if source["type"] == "base64":
        url: Any = f"data:{source['media_type']};base64,{source['data']}"
    elif source["type"] == "text":
        data = base64.b64encode(source["data"].encode()).decode()
        url = f"data:{source['media_type']};base64,{data}"
    else:
        url = source.get("url") or source.get("content")
    if block["type"] == "image":
        return {"type": "image_url", "image_url": {"url": url or source.get("file_id")}}
    return {"type": "file", "file": {"file_data": url, "file_id": source.get("file_id")}}


def _tool(tool: Body) -> Body:
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    return {"type": "function", "function": function}
