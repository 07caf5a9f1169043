"""The messages of a Messages request: ``system``, and turns of content blocks."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from evalharness.chat_api.json_checks import ShapeError
from evalharness.chat_api.lenient_json import as_list, is_object, parse_json

_INSTRUCTIONS = ("system", "developer")
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.IGNORECASE)
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def conversation_fields(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """``messages``, and ``system`` where the conversation begins with instructions.

    Args:
        messages: that :func:`check_conversation` accepts.
    """
    instructions = _leading_instructions(messages)
    turns: list[dict[str, Any]] = []
    results: list[dict[str, Any]] | None = None
    for message in messages[len(instructions) :]:
        if message["role"] == "tool":
            # The results of parallel calls stand in one message.
            if results is None:
                results = []
                turns.append({"role": "user", "content": results})
            results.append(_tool_result(message))
            continue
        results = None
        turns.append(_turn(message))
    fields: dict[str, Any] = {"messages": turns}
    if instructions:
        fields["system"] = _system(instructions)
    return fields


def check_conversation(messages: list[dict[str, Any]]) -> None:
    """Refuse valid messages that a request cannot say.

    Raises:
        ShapeError: names the message by its index and key.
    """
    first = len(_leading_instructions(messages))
    if first == len(messages):
        raise ShapeError("messages", "holds instructions alone", "add a user message")
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        if message["role"] in _INSTRUCTIONS and index >= first:
            _check_later_instructions(messages, index, path)
        _check_name(messages[:index], message, path)
        _check_content(message, f"{path}.content")
        if message.get("refusal") is not None:
            raise _no_refusal(f"{path}.refusal")
        for number, call in enumerate(message.get("tool_calls") or ()):
            _check_arguments(call, f"{path}.tool_calls[{number}].function.arguments")


def _leading_instructions(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(takewhile(lambda message: message["role"] in _INSTRUCTIONS, messages))


def _check_later_instructions(messages: list[dict[str, Any]], index: int, path: str) -> None:
    """The rules of mid-conversation system messages."""
    after = messages[index + 1]["role"] if index + 1 < len(messages) else None
    if messages[index - 1]["role"] not in ("user", "tool") or after not in (None, "assistant"):
        raise ShapeError(
            path,
            f"is a {messages[index]['role']} message where the Messages API takes none",
            "it takes them at the beginning, or one after a user message that an answer or "
            "nothing follows",
        )


def _check_name(before: list[dict[str, Any]], message: dict[str, Any], path: str) -> None:
    name = message.get("name")
    if name is None:
        return
    if message["role"] == "tool":
        called = [
            call["function"]["name"]
            for earlier in before
            for call in earlier.get("tool_calls") or ()
            if call["id"] == message["tool_call_id"]
        ]
        if name in called:
            return  # the call of this id says it
    raise ShapeError(
        f"{path}.name",
        "cannot be sent: the Messages API has no names of participants",
        "leave it out, or put the name into the text",
    )


def _no_refusal(path: str) -> ShapeError:
    return ShapeError(
        path,
        "cannot be sent: the Messages API has no refusals in a conversation",
        "put its words into the content, or leave the message out",
    )


def _check_content(message: dict[str, Any], path: str) -> None:
    for index, part in enumerate(as_list(message.get("content"))):
        at = f"{path}[{index}]"
        kind = part["type"]
        if kind == "input_audio":
            raise ShapeError(at, "is a recording, which the Messages API does not take")
        if kind == "refusal":
            raise _no_refusal(at)
        if kind == "image_url":
            _check_image(part["image_url"], f"{at}.image_url")
        elif kind == "file":
            _check_file(part["file"], f"{at}.file")


def _check_image(image: Mapping[str, Any], path: str) -> None:
    if image.get("detail", "auto") != "auto":
        raise ShapeError(
            f"{path}.detail",
            "cannot be sent: the Messages API has no detail of an image",
            "leave it out, or send a smaller image",
        )
    match = _DATA_URI.match(image["url"])
    if match is not None and match[1].lower() not in _IMAGES:
        raise ShapeError(
            f"{path}.url", f"is {match[1]}: the Messages API takes {', '.join(_IMAGES)}"
        )


def _check_file(file: Mapping[str, Any], path: str) -> None:
    if {"file_data", "file_id"} <= file.keys():
        raise ShapeError(path, "has both file_data and file_id", "leave one out")
    if "file_data" not in file:
        return
    match = _DATA_URI.match(file["file_data"])
    kind = None if match is None else match[1].lower()
    if kind not in ("application/pdf", "text/plain"):
        raise ShapeError(
            f"{path}.file_data",
            "must be a data URI of application/pdf or text/plain for the Messages API",
            "for example data:application/pdf;base64,…",
        )
    if kind == "text/plain" and _text_of(file["file_data"]) is None:
        raise ShapeError(f"{path}.file_data", "is no base64 of a UTF-8 text")


def _check_arguments(call: Mapping[str, Any], path: str) -> None:
    if not is_object(_arguments(call)):
        raise ShapeError(
            path,
            "must be a JSON object: the Messages API has arguments as one",
            'write the object as JSON text; "{}" is a call without arguments',
        )


def _arguments(call: Mapping[str, Any]) -> Any:
    document = parse_json(call["function"]["arguments"].encode("utf-8", "replace"))
    return document.value if document is not None and document.exact else None


def _system(instructions: list[dict[str, Any]]) -> Any:
    """One text as it is; several messages, or parts, as blocks."""
    if len(instructions) == 1 and isinstance(instructions[0]["content"], str):
        return instructions[0]["content"]
    return [block for message in instructions for block in _blocks(message["content"])]


def _turn(message: dict[str, Any]) -> dict[str, Any]:
    role = "system" if message["role"] in _INSTRUCTIONS else message["role"]
    content, calls = message.get("content"), message.get("tool_calls") or ()
    if isinstance(content, str) and not calls:
        return {"role": role, "content": content}
    # Beside calls an empty text says nothing, and is refused as a block.
    blocks = _blocks(content) if content else []
    return {"role": role, "content": [*blocks, *(_tool_use(call) for call in calls)]}


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_block(part) for part in content]


def _block(part: dict[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind == "image_url":
        block: dict[str, Any] = {"type": "image", "source": _image_source(part["image_url"]["url"])}
    elif kind == "file":
        block = _document(part["file"])
    else:
        block = {"type": "text", "text": part["text"]}
    if "cache_control" in part:
        block["cache_control"] = part["cache_control"]
    return block


def _image_source(url: str) -> dict[str, Any]:
    match = _DATA_URI.match(url)
    return {"type": "url", "url": url} if match is None else _base64_source(url, match)


def _base64_source(uri: str, match: re.Match[str]) -> dict[str, Any]:
    return {"type": "base64", "media_type": match[1].lower(), "data": uri[match.end() :]}


def _document(file: Mapping[str, Any]) -> dict[str, Any]:
    if "file_id" in file:
        source: dict[str, Any] = {"type": "file", "file_id": file["file_id"]}
    else:
        match = _DATA_URI.match(file["file_data"])
        assert match is not None  # was checked
        if match[1].lower() == "text/plain":
            text = _text_of(file["file_data"])
            source = {"type": "text", "media_type": "text/plain", "data": text}
        else:
            source = _base64_source(file["file_data"], match)
    title = {"title": file["filename"]} if "filename" in file else {}
    return {"type": "document", "source": source, **title}


def _text_of(uri: str) -> str | None:
    try:
        return base64.b64decode(uri.partition(",")[2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    name = call["function"]["name"]
    return {"type": "tool_use", "id": call["id"], "name": name, "input": _arguments(call)}


def _tool_result(message: Mapping[str, Any]) -> dict[str, Any]:
    result = {"type": "tool_result", "tool_use_id": message["tool_call_id"]}
    return {**result, "content": message["content"]}
