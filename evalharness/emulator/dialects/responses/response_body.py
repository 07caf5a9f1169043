"""The response object, and the items of its output."""

from __future__ import annotations

from typing import Any

from evalharness.emulator.billing import RequestTokens
from evalharness.emulator.completion import EmulatedToolCall
from evalharness.emulator.dialects.chat.completion_body import logprob_object
from evalharness.emulator.dialects.dialect import EmulatedAnswer
from evalharness.emulator.text.text_generator import Token

Item = dict[str, Any]

SERVER_ERROR = {"code": "server_error", "message": "The model stopped unexpectedly."}
# What a response repeats of the request, and what it says where the request says nothing.
_REPEATED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def response_object(answer: EmulatedAnswer) -> dict[str, Any]:
    """The response in one piece."""
    reason = incomplete_reason(answer)
    return {
        **response_frame(answer),
        "status": "completed" if reason is None else "incomplete",
        "completed_at": answer.created if reason is None else None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output_items(answer),
        "usage": usage_object(answer.tokens),
    }


def response_frame(answer: EmulatedAnswer) -> dict[str, Any]:
    """The response as it begins: no output and no usage yet."""
    repeated = {
        name: answer.body.get(name) if answer.body.get(name) is not None else default
        for name, default in _REPEATED.items()
    }
    return {
        "id": f"resp_{answer.key}",
        "object": "response",
        "created_at": answer.created,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": answer.request.model,
        "output": [],
        "service_tier": "default",
        **repeated,
        "usage": None,
    }


def incomplete_reason(answer: EmulatedAnswer) -> str | None:
    """Why an answer is incomplete; None: it is complete."""
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    return reasons.get(answer.choices[0].finish_reason)


def output_items(answer: EmulatedAnswer) -> list[Item]:
    """Reasoning, then the calls of functions, or a message."""
    choice = answer.choices[0]
    items: list[Item] = [reasoning_item(answer)] if choice.reasoning else []
    if choice.tool_calls:
        items += [call_item(answer, i, call) for i, call in enumerate(choice.tool_calls)]
    else:
        items.append(message_item(answer))
    return items


def reasoning_item(answer: EmulatedAnswer) -> Item:
    """The reasoning: as a summary where one is asked for, else as text, or hidden.

    OpenAI never shows reasoning as text; servers of open models do.
    """
    text = "".join(answer.choices[0].reasoning)
    item: Item = {"id": f"rs_{answer.key}", "type": "reasoning", "summary": []}
    if shows_summary(answer):
        item["summary"] = [{"type": "summary_text", "text": text}]
    elif shows_reasoning(answer):
        item["content"] = [{"type": "reasoning_text", "text": text}]
    if "reasoning.encrypted_content" in (answer.body.get("include") or ()):
        item["encrypted_content"] = f"emulated-{answer.key}"
    return item


def shows_summary(answer: EmulatedAnswer) -> bool:
    """Whether the request asks for a summary of the reasoning."""
    config: dict[str, Any] = answer.body.get("reasoning") or {}
    return bool(config.get("summary") or config.get("generate_summary"))


def shows_reasoning(answer: EmulatedAnswer) -> bool:
    """Whether the reasoning itself is shown."""
    return answer.profile != "openai" and not shows_summary(answer)


def call_item(answer: EmulatedAnswer, i: int, call: EmulatedToolCall) -> Item:
    """One call of a function."""
    return {
        "id": f"fc_{answer.key}{i}",
        "type": "function_call",
        "status": "completed",
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments,
    }


def message_item(answer: EmulatedAnswer) -> Item:
    """The message: a text, or a refusal."""
    choice = answer.choices[0]
    if choice.refusal is not None:
        part: Item = {"type": "refusal", "refusal": choice.refusal}
    else:
        part = text_part(choice.text, choice.logprobs)
    return {
        "id": f"msg_{answer.key}",
        "type": "message",
        "status": "completed" if incomplete_reason(answer) is None else "incomplete",
        "role": "assistant",
        "content": [part],
    }


def text_part(text: str, logprobs: list[Token] | None) -> Item:
    """A part of text with its logprobs, if any."""
    shown = [logprob_object(token) for token in logprobs or ()]
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": shown}


def usage_object(tokens: RequestTokens) -> dict[str, Any]:
    """The usage object."""
    return {
        "input_tokens": tokens.prompt,
        "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": 0},
        "output_tokens": tokens.completion,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.total,
    }
