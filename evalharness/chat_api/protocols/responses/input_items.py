"""Chat messages as input items of the Responses API.

System and developer messages stay where they are in the conversation, each with its role. The
field ``instructions`` is not used: it is one text before everything else and says neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from evalharness.chat_api.json_checks import ShapeError

_USE_CHAT = "provider.protocol=chat sends it, where the server has chat completions"


def check_input(messages: list[dict[str, Any]]) -> None:
    """Refuse valid messages that have no form as items.

    Raises:
        ShapeError: a recording, or the name of a participant.
    """
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        if "name" in message and message["role"] != "tool":
            raise ShapeError(
                f"{path}.name",
                "cannot be sent: the Responses API has no names of participants",
                _USE_CHAT,
            )
        for place, part in enumerate(_parts(message.get("content"))):
            if part["type"] == "input_audio":
                raise ShapeError(
                    f"{path}.content[{place}]",
                    "cannot be sent: messages of the Responses API have texts, images and files",
                    _USE_CHAT,
                )


def input_items(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items of checked messages; an assistant message with calls becomes several."""
    return [item for message in messages for item in _items(message)]


def _items(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    role, content = message["role"], message.get("content")
    if role == "tool":
        item = {
            "type": "function_call_output",
            "call_id": message["tool_call_id"],
            "output": content,
        }
        name = message.get("name")
        yield item if name is None else {**item, "name": name}
        return
    calls = cast("list[dict[str, Any]]", message.get("tool_calls") or [])
    if role == "assistant":
        content = _assistant_content(content, message.get("refusal"))
    elif not isinstance(content, str):
        content = [_input_part(part) for part in _parts(content)]
    if content or not calls:  # beside calls an empty text says nothing
        yield {"type": "message", "role": role, "content": content}
    for call in calls:
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def _assistant_content(content: Any, refusal: str | None) -> str | list[dict[str, Any]]:
    """A text as it is: only content in parts is said in parts of an output."""
    if refusal is None and (content is None or isinstance(content, str)):
        return content or ""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    parts = [
        part if part["type"] == "refusal" else _output_text(part["text"])
        for part in _parts(content)
    ]
    return parts if refusal is None else [*parts, {"type": "refusal", "refusal": refusal}]


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def _input_part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "image_url":
        # The detail is a required field here; in chat completions it is "auto" without one.
        image = part["image_url"]
        detail = image.get("detail", "auto")
        return {"type": "input_image", "image_url": image["url"], "detail": detail}
    if part["type"] == "file":
        return {"type": "input_file", **part["file"]}
    return {"type": "input_text", "text": part["text"]}


def _parts(content: Any) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", content) if isinstance(content, list) else []
