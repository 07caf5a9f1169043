"""Chat messages: the five roles and what each may hold."""

from __future__ import annotations

from typing import Any, cast

from evalharness.chat_api import cache_control, content_parts, json_checks
from evalharness.chat_api.json_checks import (
    Check,
    ShapeError,
    array,
    object_with,
    one_of,
    optional,
    type_mismatch,
)
from evalharness.chat_api.protocol import ApiProtocol
from evalharness.errors import DatasetError


def check_messages(
    messages: Any, *, where: str, protocol: ApiProtocol | None = None
) -> list[dict[str, Any]]:
    """Check a conversation against the API's message shapes and return it as it is.

    Args:
        messages: a non-empty list of messages (roles system, developer, user, assistant, tool).
        where: file and line, or whatever tells people which row this is.
        protocol: that is to say them; None can say everything.

    Raises:
        DatasetError: names ``where``, the message's index and the key at fault.
    """
    try:
        _conversation(messages, "messages")
        if protocol is not None:
            cache_control.refuse_in_messages(messages, protocol)
            protocol.check_messages(messages)
    except ShapeError as error:
        raise DatasetError(f"{where}: `{error.path}` {error.problem}", hint=error.hint) from None
    return messages


def _message(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise type_mismatch(path, "an object with role and content", value)
    message = cast("dict[Any, Any]", value)
    if "role" not in message:
        raise ShapeError(f"{path}.role", "is missing")
    role = message["role"]
    _role(role, f"{path}.role")
    _ROLES[role](message, path)
    if role == "assistant" and not _has_content(message):
        raise ShapeError(f"{path}.content", "is missing, and there are no tool_calls either")


def _has_content(message: dict[Any, Any]) -> bool:
    return any(message.get(key) is not None for key in ("content", "tool_calls", "refusal"))


def _assistant_content(value: Any, path: str) -> None:
    if value is None:
        return  # with tool_calls or a refusal, as the API itself answers
    if isinstance(value, str):
        json_checks.string(value, path)
        return
    _assistant_parts(value, path)
    parts = cast("list[dict[str, Any]]", value)
    if len(parts) > 1 and any(part["type"] == "refusal" for part in parts):
        raise ShapeError(path, "holds a refusal part, which must be the only part")


def _text_or_parts(value: Any, path: str) -> None:
    if isinstance(value, list):
        _text_parts(value, path)
    else:
        json_checks.text_or_parts(value, path)


def _assistant_part(value: Any, path: str) -> None:
    kind = cast("dict[Any, Any]", value).get("type") if isinstance(value, dict) else None
    (_refusal_part if kind == "refusal" else _text_part)(value, path)


_role = one_of("system", "developer", "user", "assistant", "tool")
_text_part = object_with(
    {"type": one_of("text"), "text": json_checks.string},
    {cache_control.KEY: cache_control.check_cache_control},
)
_text_parts = array(_text_part, what="text parts")
_refusal_part = object_with({"type": one_of("refusal"), "refusal": json_checks.string})
_assistant_parts = array(_assistant_part, what="text or refusal parts", min_items=1)
_function_call = object_with({"name": json_checks.string, "arguments": json_checks.string})
_tool_calls = array(
    object_with({"id": json_checks.string, "type": one_of("function"), "function": _function_call}),
    what="tool calls",
)
_plain_message = object_with(
    {"role": _role, "content": _text_or_parts}, {"name": json_checks.string}
)
_ROLES: dict[str, Check] = {
    "system": _plain_message,
    "developer": _plain_message,
    "user": object_with(
        {"role": _role, "content": content_parts.user_content}, {"name": json_checks.string}
    ),
    "tool": object_with(
        {"role": _role, "content": json_checks.string, "tool_call_id": json_checks.string},
        {"name": optional(json_checks.string)},
    ),
    "assistant": object_with(
        {"role": _role},
        {
            "content": _assistant_content,
            "name": json_checks.string,
            "tool_calls": _tool_calls,
            "refusal": optional(json_checks.string),
        },
    ),
}
_conversation = array(_message, what="messages", min_items=1)
