"""The text of a request that becomes prompt tokens, and a guess of how many."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from evalharness.chat_api.content_parts import media_parts
from evalharness.chat_api.lenient_json import as_list, as_object, as_text
from evalharness.records import digest

_PER_MESSAGE = 4.0  # tokens of role and separators in a chat template
_PER_REQUEST = 8.0
# Characters a token: Latin text about 4, Chinese, Japanese and Korean 1, other scripts 2.
_ASCII, _WIDE, _OTHER = 4.0, 1.0, 2.0
_FIRST_WIDE = 0x2E80


class RequestText(msgspec.Struct, frozen=True):
    """The part of a request that becomes prompt tokens.

    ``key`` is a hash of the exact content, ``chars`` is its length in characters, ``guess`` its
    tokens by length alone. ``media`` counts its images, recordings and files by type of part; what
    they become is in neither.
    """

    key: str
    chars: int
    guess: float
    media: dict[str, int] = {}


class _Body(msgspec.Struct):
    # Not `Raw | None`, of which msgspec takes null alone.
    messages: msgspec.Raw = msgspec.Raw(b"[]")
    input: msgspec.Raw = msgspec.Raw(b"[]")  # in their place in the Responses API
    system: msgspec.Raw = msgspec.Raw(b"null")
    instructions: msgspec.Raw = msgspec.Raw(b"null")
    tools: msgspec.Raw = msgspec.Raw()
    response_format: msgspec.Raw = msgspec.Raw()
    text: msgspec.Raw = msgspec.Raw()  # the response format of the Responses API
    output_config: msgspec.Raw = msgspec.Raw()  # that of the Messages API


_ABSENT = (msgspec.Raw(), msgspec.Raw(b"null"))
_body = msgspec.json.Decoder(_Body)


def read_request_text(body: bytes) -> RequestText:
    """The text of a request body as canonical JSON.

    Raises:
        msgspec.MsgspecError: it is no such body.
    """
    parts = _body.decode(body)
    messages: list[Any] = [
        *msgspec.json.decode(parts.messages, type=list[Any]),
        *msgspec.json.decode(parts.input, type=list[Any]),
    ]
    before = [part for part in (parts.system, parts.instructions) if part not in _ABSENT]
    text = "".join(_texts([*(msgspec.json.decode(part) for part in before), *messages]))
    others = (parts.tools, parts.response_format, parts.text, parts.output_config)
    rest = [bytes(part) for part in others if part not in _ABSENT]
    chars = len(text) + sum(len(part.decode()) for part in rest)
    guess = _guess(text) + sum(len(part) for part in rest) / _ASCII
    conversation = (*map(bytes, before), bytes(parts.messages), bytes(parts.input))
    return RequestText(
        key=digest(*conversation, *rest),
        chars=chars,
        guess=guess + _PER_MESSAGE * len(messages) + _PER_REQUEST,
        media=dict(media_parts(messages) + _media_blocks(messages)),
    )


# What parts are called in other APIs than chat completions.
_BLOCKS = {
    "input_image": "image_url", "input_file": "file", "image": "image_url", "document": "file",
}  # fmt: skip


def _media_blocks(messages: list[Any]) -> Counter[str]:
    parts = [part for m in messages for part in as_list(as_object(m).get("content"))]
    kinds = [as_text(as_object(part).get("type")) or "" for part in parts]
    return Counter(_BLOCKS[kind] for kind in kinds if kind in _BLOCKS)


# No text: the tokens of an image or a recording do not depend on its length.
_SKIPPED = (
    "role", "type", "image_url", "input_audio", "file", "file_data", "file_id", "filename",
    "detail", "source", "cache_control", "tool_use_id", "media_type",
)  # fmt: skip


def _texts(value: Any) -> list[str]:
    """Every text of a message: its content, and that of tool calls."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        items: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [text for key, item in items.items() if key not in _SKIPPED for text in _texts(item)]
    return []


def _guess(text: str) -> float:
    ascii_count = sum(1 for char in text if char < "\x80") if not text.isascii() else len(text)
    wide = sum(1 for char in text if ord(char) >= _FIRST_WIDE) if ascii_count < len(text) else 0
    return ascii_count / _ASCII + wide / _WIDE + (len(text) - ascii_count - wide) / _OTHER
