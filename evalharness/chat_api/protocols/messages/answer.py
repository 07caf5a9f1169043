"""A message of the Messages API as a chat completion, which is then read like any other."""

from __future__ import annotations

from typing import Any

from evalharness.chat_api.lenient_json import as_list, as_object, as_text

_STREAM_KEYS = ("content", "stop_reason", "stop_sequence", "stop_details", "type", "role")


def message_as_completion(top: dict[str, Any]) -> dict[str, Any]:
    """The message as a chat completion; what is none (an error, say) stays as it is.

    ``stop_reason`` is the finish_reason as it is. Text and thinking stay content blocks, calls of
    the client's tools become tool calls, citations annotations. Blocks of tools that the server
    runs have no text.
    """
    is_message = top.get("type") == "message" or "stop_reason" in top
    if top.get("error") or not is_message or isinstance(top.get("choices"), list):
        return top
    finish = as_text(top.get("stop_reason")) or None
    usage = dict(as_object(top.get("usage")))
    content = top.get("content")
    blocks = [as_object(block) for block in as_list(content)]
    if isinstance(content, str):  # as some servers of this protocol have it
        blocks = [{"type": "text", "text": content}]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": [block for block in blocks if block.get("type") != "tool_use"],
        "tool_calls": [_tool_call(b) for b in blocks if b.get("type") == "tool_use"],
        "annotations": [c for b in blocks for c in as_list(b.get("citations"))],
    }
    if finish == "refusal":
        message["refusal"] = as_text(as_object(top.get("stop_details")).get("explanation"))
    completion = {key: value for key, value in top.items() if key not in _STREAM_KEYS}
    completion["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
    if finish is None:
        # What a stream counts at its beginning is not what the answer came to.
        usage.pop("output_tokens", None)
    completion["usage"] = usage
    completion["service_tier"] = usage.get("service_tier")
    return completion


def _tool_call(block: dict[str, Any]) -> dict[str, Any]:
    function = {"name": block.get("name"), "arguments": block.get("input")}
    return {"id": block.get("id"), "type": "function", "function": function}
