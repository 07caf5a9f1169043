"""Texts of a message: of its content, as a text or as a list of parts, and of its reasoning."""

from __future__ import annotations

from typing import Any, NamedTuple

from evalharness.chat_api.lenient_json import as_list, as_object, as_text

# Where servers put the reasoning of a message; those that repeat one another say the same.
REASONING_KEYS = (
    "reasoning_content", "reasoning", "reasoning_text", "thinking", "reasoning_details",
    "thinking_blocks",
)  # fmt: skip
# The types of a part whose `text` belongs to the answer.
_TEXT_TYPES = frozenset({"", "text", "output_text"})
_THINKING_TYPES = frozenset({"thinking", "reasoning"})
# The text of a piece of reasoning stands under the first of these that it has.
_THINKING_KEYS = ("thinking", "reasoning", "text", "summary", "content")
_MAX_DEPTH = 8  # of pieces of reasoning within one another


class ContentTexts(NamedTuple):
    """What a content says.

    Attributes:
        text: all text parts in order; None where there is none.
        reasoning: all thinking parts in order, empty without.
        refusal: all refusal parts in order, empty without.
    """

    text: str | None
    reasoning: str = ""
    refusal: str = ""


def read_content(content: Any) -> ContentTexts:
    """The texts of a content; references and parts of unknown types have none."""
    if not isinstance(content, list):
        return ContentTexts(as_text(content))
    texts: list[str] = []
    thoughts: list[str] = []
    refusals: list[str] = []
    for part in as_list(content):
        text = part_text(part)
        if text is not None:
            texts.append(text)
        elif is_thinking(fields := as_object(part)):
            thoughts.append(reasoning_text(fields))
        elif fields.get("type") == "refusal":
            refusals.append(as_text(fields.get("refusal")) or "")
    return ContentTexts("".join(texts) if texts else None, "".join(thoughts), "".join(refusals))


def part_text(part: Any) -> str | None:
    """The text of a text part (or of a part that is a plain text); None for other parts."""
    if isinstance(part, str):
        return part
    fields = as_object(part)
    if (as_text(fields.get("type")) or "") not in _TEXT_TYPES or is_thinking(fields):
        return None
    return as_text(fields.get("text"))


def is_thinking(part: dict[str, Any]) -> bool:
    """Whether a part is reasoning."""
    return "thinking" in part or part.get("type") in _THINKING_TYPES


def read_reasoning(message: dict[str, Any], in_content: str) -> str | None:
    """The reasoning of a message; None without.

    Several places that say the same are one; what differs is joined in the order of the message.

    Args:
        message: the message.
        in_content: the reasoning among the parts of its content.
    """
    texts = [reasoning_text(message[key]) for key in message if key in REASONING_KEYS]
    texts.append(in_content)
    distinct: list[str] = []
    for text in texts:
        if text and not any(text in other for other in distinct):
            distinct = [*(other for other in distinct if other not in text), text]
    return "".join(distinct) or None


def reasoning_text(value: Any, depth: int = 0) -> str:
    """The text of reasoning that is a text, an object with one, or a list of either."""
    if not value:
        return ""
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "".join(reasoning_text(item, depth + 1) for item in as_list(value))
    fields = as_object(value)
    inner = next((fields[key] for key in _THINKING_KEYS if fields.get(key)), None)
    return reasoning_text(inner, depth + 1)
