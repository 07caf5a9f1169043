"""What a function is called with and what it may return."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import msgspec


class CallPrompt(str):
    """The prompt of a call: the text of the last user message, and all that belongs to it.

    Attributes:
        messages: all messages, as an API would get them, the system prompt first.
        prompt_id: of the dataset row.
        fields: the row's other columns; never its target.
        tags: the row's tags.
    """

    messages: list[dict[str, Any]]
    prompt_id: str
    fields: dict[str, Any]
    tags: list[str]

    def __new__(
        cls,
        messages: list[dict[str, Any]],
        *,
        prompt_id: str = "",
        fields: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> CallPrompt:
        """Take the text of the last user message; "" where there is none."""
        prompt = super().__new__(cls, _last_user_text(messages))
        prompt.messages = messages
        prompt.prompt_id = prompt_id
        prompt.fields = fields or {}
        prompt.tags = tags or []
        return prompt


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = cast("list[Any]", content if isinstance(content, list) else [])
            return "".join(str(part["text"]) for part in parts if "text" in part)
    return ""


class CallReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a function may return in place of a text. None is unknown, never 0.

    Attributes:
        text: the answer.
        reasoning: what was thought before it.
        tool_calls: as a chat API writes them: ``{"function": {"name": …, "arguments": "…"}}``.
        finish_reason: ``stop``, ``length``, ``tool_calls``, ``content_filter``, …
        refusal: the words of a refusal; its status is refused.
        model: which model answered.
        system_fingerprint: of the backend that answered.
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens: token counts; prompt
            tokens include cached ones, completion tokens reasoning ones.
        cost_usd: what the call cost, in US dollars.
        chunks: pieces of the text with the seconds from the call to their arrival, where the
            answer was streamed; ``text`` may then be left out.
        raw: anything else to keep (``response_json``); it must be writable as JSON.
    """

    text: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    finish_reason: str | None = None
    refusal: str | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: Decimal | float | int | None = None
    chunks: list[tuple[float, str]] | None = None
    raw: Any = None
