"""What Anthropic refuses although its schema allows it, in Anthropic's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from evalharness.emulator.validation.validation_hints import Hint, HintKind

Body = dict[str, Any]

# Of the API. It takes no sampling parameters, not even at their defaults.
LATEST_VERSION = "2026-10-21"
_REMOVED = ("temperature", "top_p", "top_k")
_MAX_MARKS = 4


def violation(body: Body, version: str) -> str | None:
    """What is wrong with a body that the schema allows; None: nothing."""
    if not body["messages"]:
        return "messages: at least one message is required"
    if version == LATEST_VERSION:
        for name in _REMOVED:
            if name in body:
                return f"{name}: Extra inputs are not permitted"
        for i, k, role, block in _placed_blocks(body):
            if role == "assistant" and block["type"] == "document":
                return f"messages.{i}.content.{k}: `document` blocks are not permitted here"
            if role == "user" and block["type"] == "text" and block.get("citations"):
                return f"messages.{i}.content.{k}.citations: Extra inputs are not permitted"
    return _content_violation(body) or _thinking_violation(body) or _tool_violation(body)


def _content_violation(body: Body) -> str | None:
    seen: set[str] = set()
    marks = sum(1 for block in _all_blocks(body) if block.get("cache_control"))
    if marks > _MAX_MARKS:
        return f"A maximum of 4 blocks with cache_control may be provided. Found {marks}."
    last = len(body["messages"]) - 1
    for i, message in enumerate(body["messages"]):
        if not message["content"] and not (i == last and message["role"] == "assistant"):
            return (
                f"messages.{i}: all messages must have non-empty content except for the optional "
                "final assistant message"
            )
        for k, block in enumerate(_blocks(message["content"])):
            if block["type"] == "text" and not block["text"]:
                return "messages: text content blocks must be non-empty"
            if block["type"] == "tool_use":
                seen.add(block["id"])
            if block["type"] == "tool_result" and block["tool_use_id"] not in seen:
                return (
                    f"messages.{i}.content.{k}: unexpected `tool_use_id` found in `tool_result` "
                    f"blocks: {block['tool_use_id']}. Each `tool_result` block must have a "
                    "corresponding `tool_use` block in the previous message."
                )
    return None


def _thinking_violation(body: Body) -> str | None:
    thinking: Body = body.get("thinking") or {"type": "disabled"}
    if thinking["type"] not in ("enabled", "adaptive"):
        return None
    if thinking.get("budget_tokens", 0) >= body["max_tokens"] and thinking["type"] == "enabled":
        return "`max_tokens` must be greater than `thinking.budget_tokens`."
    if body.get("temperature") not in (None, 1):
        return "`temperature` may only be set to 1 when thinking is enabled."
    if body.get("top_k") is not None:
        return "`top_k` must be unset when thinking is enabled."
    choice: Body = body.get("tool_choice") or {"type": "auto"}
    if choice["type"] in ("any", "tool"):
        return "Thinking may not be enabled when tool_choice forces tool use."
    return None


def _tool_violation(body: Body) -> str | None:
    choice: Body | None = body.get("tool_choice")
    names = {tool["name"] for tool in body.get("tools") or ()}
    if choice is None:
        return None
    if not names:
        return "tool_choice may only be specified while providing tools."
    if choice["type"] == "tool" and choice["name"] not in names:
        return f"Tool '{choice['name']}' not found in provided tools"
    return None


def _blocks(content: Any) -> list[Body]:
    return [] if isinstance(content, str) else cast("list[Body]", content)


def _placed_blocks(body: Body) -> Iterator[tuple[int, int, str, Body]]:
    """Every block with the indices of its message and in it, and the message's role."""
    for i, message in enumerate(body["messages"]):
        for k, block in enumerate(_blocks(message["content"])):
            yield i, k, message["role"], block


def _all_blocks(body: Body) -> Iterator[Body]:
    yield from body.get("tools") or ()
    yield from _blocks(body.get("system") or "")
    for message in body["messages"]:
        yield from _blocks(message["content"])
    yield {"cache_control": body.get("cache_control")}


def worded(hint: Hint) -> str:
    """What is wrong with an invalid body."""
    path, options = hint.path, [f"'{option}'" for option in hint.detail.split()]
    if hint.kind is HintKind.UNKNOWN:
        path = f"{path}.{hint.detail}" if path else hint.detail
    shown = ", ".join(options[:-1]) + " or " + options[-1] if len(options) > 1 else hint.detail
    wordings = {
        HintKind.MISSING: "Field required",
        HintKind.UNKNOWN: "Extra inputs are not permitted",
        HintKind.TYPE: f"Input should be a valid {_TYPE_NAMES.get(hint.detail, hint.detail)}",
        HintKind.CHOICE: f"Input should be {shown}",
        HintKind.KIND: f"Input tag '{hint.value}' found using 'type' does not match any of the "
        f"expected tags: {', '.join(options)}",
        HintKind.BELOW: f"Input should be greater than or equal to {hint.detail}",
        HintKind.ABOVE: f"Input should be less than or equal to {hint.detail}",
        HintKind.JSON: "The request body is not valid JSON",
    }
    if hint.kind is HintKind.KIND:
        path = path.rpartition(".")[0]
    message = wordings.get(hint.kind, hint.message)
    return f"{path}: {message}" if path else message


_TYPE_NAMES = {"object": "dictionary", "array": "list"}
