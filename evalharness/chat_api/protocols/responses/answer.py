"""A response object as a chat completion of one choice, from which a Reply is read.

What has no place in a completion (items of other types, echoed parameters) stays in the record's
``response_json``. Nothing here raises for any JSON.
"""

from __future__ import annotations

from typing import Any

from evalharness.chat_api.lenient_json import as_list, as_object, as_text, is_object
from evalharness.chat_api.usage import find_usage, has_tokens

# Why a response is incomplete, as a finish_reason; for any other reason it is "incomplete".
_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}
_NO_ANSWER = {
    "failed": "the response failed; the server gives no reason",
    "cancelled": "the response was cancelled",
    "in_progress": "the response is still in progress, and is not fetched later",
    "queued": "the response is still queued, and is not fetched later",
}
# Fields of a response that mean something else in a completion, or are said by the choice.
_NOT_OF_COMPLETIONS = frozenset({"output", "status", "error", "choices", "object", "created_at"})


def to_completion(top: dict[str, Any]) -> dict[str, Any]:
    """The completion; what is no response object is returned as it is."""
    if not isinstance(top.get("output"), list) and top.get("object") != "response":
        return top
    items = [as_object(item) for item in as_list(top.get("output")) if is_object(item)]
    completion = {key: top[key] for key in top.keys() - _NOT_OF_COMPLETIONS}
    created = top.get("created_at")
    # It is a number with a fraction where servers measure it so.
    completion["created"] = created // 1 if isinstance(created, float) else created
    error = _error(top, items)
    if error is None:
        # Without a status and an output it is no answer, unless tokens were counted.
        is_answer = bool(items) or as_text(top.get("status")) is not None
        completion["choices"] = [_choice(top, items)] if is_answer else []
    elif items or has_tokens(find_usage(top)):
        # Tokens were generated: this is no refusal of the request.
        choice = {"index": 0, "error": error, "finish_reason": as_text(top.get("status"))}
        completion["choices"] = [choice]
    else:
        completion |= {"error": error, "choices": []}
    return completion


def failure_event(event: dict[str, Any]) -> Any | None:
    """The error of a response that an event says has failed or was cancelled."""
    response = as_object(event.get("response"))
    status = as_text(response.get("status"))
    if event.get("type") == "response.failed":
        status = "failed"
    if status not in ("failed", "cancelled"):
        return None
    return response.get("error") or {"message": _NO_ANSWER[status]}


def carries(item: dict[str, Any]) -> tuple[bool, bool]:
    """Whether an output item has reasoning, and whether it has a text, a refusal or a call."""
    kind = as_text(item.get("type"))
    if kind == "reasoning":
        return bool(_reasoning(item)), False
    if kind in ("function_call", "custom_tool_call"):
        return False, bool(item.get("name") or item.get("arguments") or item.get("input"))
    if kind == "message":
        return False, any(part.get("text") or part.get("refusal") for part in _content(item))
    return False, False


def _error(top: dict[str, Any], items: list[dict[str, Any]]) -> Any | None:
    """Why a response is no answer; None where it is one."""
    status, error = as_text(top.get("status")) or "", top.get("error")
    if status in _NO_ANSWER:
        return error or {"message": _NO_ANSWER[status]}
    return error if error and not any(carries(item)[1] for item in items) else None


def _choice(top: dict[str, Any], items: list[dict[str, Any]]) -> dict[str, Any]:
    message = _message(items)
    if any(as_object(top.get("audio")).get(key) for key in ("data", "transcript")):
        message["audio"] = top["audio"]
    logprobs = [entry for part in _text_parts(items) for entry in as_list(part.get("logprobs"))]
    return {
        "index": 0,
        "message": message,
        "finish_reason": _finish_reason(top, calls="tool_calls" in message),
        "logprobs": {"content": logprobs} if logprobs else None,
    }


def _finish_reason(top: dict[str, Any], *, calls: bool) -> str | None:
    status = as_text(top.get("status"))
    if status == "incomplete":
        reason = as_text(as_object(top.get("incomplete_details")).get("reason")) or ""
        return _INCOMPLETE.get(reason, "incomplete")
    if status != "completed":
        return None  # a server that does not say
    return "tool_calls" if calls else "stop"


def _message(items: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    content = [part for item in items if item.get("type") == "message" for part in _content(item)]
    if content:
        message["content"] = content
    annotations = [note for part in _text_parts(items) for note in as_list(part.get("annotations"))]
    if annotations:
        message["annotations"] = annotations
    thoughts = [_reasoning(item) for item in items if item.get("type") == "reasoning"]
    if reasoning := "\n\n".join(text for text in thoughts if text):
        message["reasoning"] = reasoning
    calls = [call for item in items if (call := _tool_call(item)) is not None]
    if calls:
        message["tool_calls"] = calls
    return message


def _text_parts(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    parts = [part for item in items if item.get("type") == "message" for part in _content(item)]
    return [part for part in parts if part.get("type") == "output_text"]


def _content(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a message; one that is a plain text is one part."""
    content = item.get("content")
    if isinstance(content, str):
        return [{"type": "output_text", "text": content}]
    return [as_object(part) for part in as_list(content) if is_object(part)]


def _reasoning(item: dict[str, Any]) -> str:
    """The reasoning itself where the server shows it, else its summary."""
    for key in ("content", "summary"):
        texts = [as_text(as_object(part).get("text")) for part in as_list(item.get(key))]
        if text := "\n\n".join(text for text in texts if text):
            return text
    return ""


def _tool_call(item: dict[str, Any]) -> dict[str, Any] | None:
    key = item.get("call_id") or item.get("id")
    if item.get("type") == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        return {"id": key, "type": "function", "function": function}
    if item.get("type") == "custom_tool_call":
        custom = {"name": item.get("name"), "input": item.get("input")}
        return {"id": key, "type": "custom", "custom": custom}
    return None
