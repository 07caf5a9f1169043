"""What OpenAI refuses although its schema allows it; the profile ``openai`` does the same."""

from __future__ import annotations

from typing import Any, cast

from evalharness.emulator.validation.validation_hints import Hint


def violations(body: dict[str, Any], max_choices: int) -> list[Hint]:
    """Faults of a body that is valid by the OpenAPI."""
    hints: list[Hint] = []
    if not body["messages"]:
        hints.append(Hint("messages", "[] is too short"))
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        hints.append(Hint("top_logprobs", "'logprobs' must be true when 'top_logprobs' is set"))
    if (body.get("n") or 1) > max_choices:
        hints.append(Hint("n", f"{body['n']} is greater than the maximum of {max_choices}"))
    stop: Any = body.get("stop")
    if stop is not None and not isinstance(stop, str) and not _short_texts(stop):
        hints.append(Hint("stop", "expected a string or at most 4 strings"))
    tools: list[dict[str, Any]] = body.get("tools") or []
    choice: Any = body.get("tool_choice")
    if choice is not None and not tools:
        hints.append(Hint("tool_choice", "only allowed when 'tools' are specified"))
    elif isinstance(choice, dict):
        wanted = cast("dict[str, Any]", choice)["function"]["name"]
        if all(tool["function"]["name"] != wanted for tool in tools):
            hints.append(Hint("tool_choice", f"tool choice {wanted!r} not found in 'tools'"))
    return hints


def _short_texts(stop: Any) -> bool:
    if not isinstance(stop, list):
        return False
    texts = cast("list[Any]", stop)
    return len(texts) <= 4 and all(isinstance(text, str) for text in texts)
