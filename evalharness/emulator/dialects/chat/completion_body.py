"""The body of a chat completion, in one piece."""

from __future__ import annotations

from typing import Any

from evalharness.emulator.billing import RequestTokens
from evalharness.emulator.completion import ChatChoice
from evalharness.emulator.dialects.dialect import EmulatedAnswer
from evalharness.emulator.text.sampling import NEVER
from evalharness.emulator.text.text_generator import Token


def usage_object(tokens: RequestTokens) -> dict[str, Any]:
    """The usage object."""
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": tokens.accepted_prediction,
            "rejected_prediction_tokens": tokens.rejected_prediction,
        },
    }


def completion_id(answer: EmulatedAnswer) -> str:
    """The id, as OpenAI begins it; the rest is a UUID of version 4 (RFC 9562)."""
    digits = answer.key
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "chatcmpl-" + "-".join(parts)


def completion_object(answer: EmulatedAnswer) -> dict[str, Any]:
    """The response in one piece."""
    return {
        "id": completion_id(answer),
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.request.model,
        "choices": [
            {
                "index": i,
                "message": _message(choice),
                "finish_reason": choice.finish_reason,
                "logprobs": logprobs_object(choice.logprobs),
            }
            for i, choice in enumerate(answer.choices)
        ],
        "usage": usage_object(answer.tokens),
        "system_fingerprint": answer.fingerprint,
    }


def _message(choice: ChatChoice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text,
        "refusal": choice.refusal,
    }
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    if choice.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in choice.tool_calls
        ]
    return message


def logprobs_object(tokens: list[Token] | None) -> dict[str, Any] | None:
    """The logprobs of tokens; None where none were asked for."""
    if tokens is None:
        return None
    return {"content": [logprob_object(token) for token in tokens], "refusal": []}


def logprob_object(token: Token) -> dict[str, Any]:
    """One token with its logprob and those of the likeliest at its place."""
    return {
        **_entry(token.text, token.logprob),
        "top_logprobs": [_entry(text, logprob) for text, logprob in token.top],
    }


def _entry(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": max(logprob, NEVER), "bytes": list(text.encode())}
