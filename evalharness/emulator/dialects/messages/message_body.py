"""The message object, and the blocks of its content."""

from __future__ import annotations

from typing import Any

import msgspec

from evalharness.emulator.completion import EmulatedToolCall
from evalharness.emulator.dialects.dialect import EmulatedAnswer

Block = dict[str, Any]


def message_object(answer: EmulatedAnswer) -> dict[str, Any]:
    """The message in one piece."""
    return {
        **message_frame(answer),
        "content": content_blocks(answer),
        **stop(answer),
        "usage": usage_object(answer),
    }


def message_frame(answer: EmulatedAnswer) -> dict[str, Any]:
    """The message as it begins: no content yet, and no more than a token counted."""
    return {
        "id": f"msg_{answer.key}",
        "type": "message",
        "role": "assistant",
        "model": answer.request.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**usage_object(answer), "output_tokens": min(1, answer.tokens.completion)},
    }


def stop(answer: EmulatedAnswer) -> dict[str, Any]:
    """Why the message ends."""
    choice = answer.choices[0]
    reasons = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
    reason = reasons.get(choice.finish_reason, "end_turn")
    details: dict[str, Any] | None = None
    if choice.stop_sequence is not None:
        reason = "stop_sequence"
    if choice.refusal is not None or reason == "refusal":
        reason = "refusal"
        details = {"type": "refusal", "category": None, "explanation": choice.refusal}
    return {
        "stop_reason": reason,
        "stop_sequence": choice.stop_sequence,
        "stop_details": details,
    }


def content_blocks(answer: EmulatedAnswer) -> list[Block]:
    """Thinking, text, and uses of tools; a message that says nothing has no block."""
    choice = answer.choices[0]
    blocks = [thinking_block(answer)] if choice.reasoning else []
    if choice.text:
        blocks.append({"type": "text", "text": choice.text})
    return blocks + [tool_use_block(call) for call in choice.tool_calls]


def thinking_block(answer: EmulatedAnswer) -> Block:
    """The thinking, empty where the request leaves it out, with its signature."""
    text = "" if omits_thinking(answer) else "".join(answer.choices[0].reasoning)
    return {"type": "thinking", "thinking": text, "signature": f"emulated-{answer.key}"}


def omits_thinking(answer: EmulatedAnswer) -> bool:
    """Whether the thinking itself is not shown."""
    thinking: dict[str, Any] = answer.body.get("thinking") or {}
    return thinking.get("display") == "omitted"


def tool_use_block(call: EmulatedToolCall) -> Block:
    """One use of a tool."""
    return {
        "type": "tool_use",
        "id": call.call_id.replace("call_", "toolu_"),
        "name": call.name,
        "input": msgspec.json.decode(call.arguments),
    }


def usage_object(answer: EmulatedAnswer) -> dict[str, Any]:
    """The usage; input tokens are those neither read from the cache nor written to it."""
    tokens = answer.tokens
    written = tokens.cache_write + tokens.cache_write_1h
    return {
        "input_tokens": tokens.prompt - tokens.cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
        "output_tokens": tokens.completion,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
        "service_tier": "standard",
    }
