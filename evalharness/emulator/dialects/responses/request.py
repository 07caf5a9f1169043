"""A request to ``/v1/responses`` as the chat completion that asks for the same."""

from __future__ import annotations

from typing import Any, cast

Body = dict[str, Any]

# Called by another name than in chat completions.
_RENAMED = {
    "max_output_tokens": "max_completion_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "stream": "stream",
    "parallel_tool_calls": "parallel_tool_calls",
}
LOGPROBS = "message.output_text.logprobs"


def chat_body(body: Body) -> Body:
    """The chat completion; ``body`` is valid."""
    chat: Body = {"model": body["model"], "messages": _messages(body)}
    for name, chat_name in _RENAMED.items():
        if body.get(name) is not None:
            chat[chat_name] = body[name]
    if LOGPROBS in (body.get("include") or ()):
        chat["logprobs"] = True
        chat["top_logprobs"] = body.get("top_logprobs") or 0
    chosen: Any = body.get("tool_choice", "auto")
    tools: list[Body] = body.get("tools") or []
    if isinstance(chosen, dict):
        choice = cast("Body", chosen)
        if choice["type"] == "function":
            chosen = {"type": "function", "function": {"name": choice["name"]}}
        else:
            allowed = {tool.get("name") for tool in cast("list[Body]", choice["tools"])}
            tools = [tool for tool in tools if tool["name"] in allowed]
            chosen = choice["mode"]
    if tools:
        chat["tools"] = [_tool(tool) for tool in tools]
    chat["tool_choice"] = chosen
    text: Body = body.get("text") or {}
    form: Body = text.get("format") or {"type": "text"}
    if form["type"] == "json_schema":
        members = {key: value for key, value in form.items() if key != "type"}
        form = {"type": "json_schema", "json_schema": members}
    chat["response_format"] = form
    reasoning: Body = body.get("reasoning") or {}
    if reasoning.get("effort") is not None:
        chat["reasoning_effort"] = reasoning["effort"]
    return chat


def _messages(body: Body) -> list[Body]:
    messages: list[Body] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    given: Any = body["input"]
    items: list[Body] = [{"role": "user", "content": given}] if isinstance(given, str) else given
    turn_is_open = False  # whether what the assistant said may still go on
    for item in items:
        kind = item.get("type") or "message"
        if kind == "reasoning":
            continue
        if kind == "function_call_output":
            output = {"content": _content(item["output"]), "tool_call_id": item["call_id"]}
            messages.append({"role": "tool", **output})
        elif kind == "function_call":
            if not turn_is_open:
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(_call(item))
        else:
            messages.append({"role": item["role"], "content": _content(item["content"])})
        turn_is_open = messages[-1]["role"] == "assistant"
    return messages


def _call(item: Body) -> Body:
    function = {"name": item["name"], "arguments": item["arguments"]}
    return {"id": item["call_id"], "type": "function", "function": function}


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [_part(part) for part in cast("list[Body]", content)]


def _part(part: Body) -> Body:
    kind = part["type"]
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    if kind == "input_file":
        data = part.get("file_data") or part.get("file_url")
        return {"type": "file", "file": {"file_data": data, "file_id": part.get("file_id")}}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part["refusal"]}
    return {"type": "text", "text": part["text"]}


def _tool(tool: Body) -> Body:
    function: Body = {
        "name": tool["name"],
        "parameters": tool.get("parameters") or {"type": "object", "properties": {}},
    }
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    return {"type": "function", "function": function}
