"""Content parts of a message: text, images, recordings, files; what each may hold and costs.

How many tokens an image, a recording or a file becomes depends on the model. It is known where the
provider's profile states the most that one can become (``part_tokens``), else unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from evalharness.chat_api import json_checks
from evalharness.chat_api.cache_control import KEY, check_cache_control
from evalharness.chat_api.json_checks import ShapeError, array, object_with, one_of, type_mismatch
from evalharness.config.models import MEDIA_PARTS

_ADDRESS = re.compile(r"https?://|data:[\w.+-]+/[\w.+-]+;base64,", re.IGNORECASE)


def _image_address(value: Any, path: str) -> None:
    json_checks.string(value, path)
    if not _ADDRESS.match(value):
        raise ShapeError(
            path,
            "is neither an http(s) address nor a data URI",
            hint="a file is named by its path in a dataset on this machine",
        )


def _file(value: Any, path: str) -> None:
    _file_fields(value, path)
    if not {"file_data", "file_id"} & value.keys():
        raise ShapeError(path, "needs file_data or file_id")


_file_fields = object_with(
    {},
    {
        "file_data": json_checks.string,
        "file_id": json_checks.string,
        "filename": json_checks.string,
    },
)
_MAY_HAVE = {KEY: check_cache_control}
_PARTS = {
    "text": object_with({"type": one_of("text"), "text": json_checks.string}, _MAY_HAVE),
    "image_url": object_with(
        {
            "type": one_of("image_url"),
            "image_url": object_with({"url": _image_address}, {"detail": json_checks.string}),
        },
        _MAY_HAVE,
    ),
    "input_audio": object_with(
        {
            "type": one_of("input_audio"),
            "input_audio": object_with({"data": json_checks.string, "format": json_checks.string}),
        },
        _MAY_HAVE,
    ),
    "file": object_with({"type": one_of("file"), "file": _file}, _MAY_HAVE),
}
_kind = one_of(*_PARTS)


def _part(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise type_mismatch(path, "an object with type", value)
    kind: Any = cast("dict[Any, Any]", value).get("type")
    _kind(kind, f"{path}.type")
    _PARTS[kind](value, path)


_parts = array(_part, what="content parts", min_items=1)


def user_content(value: Any, path: str) -> None:
    """A text, or a list of text, image, recording and file parts."""
    if isinstance(value, str):
        json_checks.string(value, path)
    elif isinstance(value, list):
        _parts(value, path)
    else:
        raise type_mismatch(path, "a text or a list of content parts", value)


def media_parts(messages: Iterable[Mapping[str, Any]] | None) -> Counter[str]:
    """How many images, recordings and files a conversation holds, by type of part."""
    return Counter(part["type"] for part in _media(messages))


def prompt_token_bound(
    body_bytes: int, messages: Iterable[Mapping[str, Any]] | None, part_tokens: Mapping[str, int]
) -> int | None:
    """The most prompt tokens of a request; None where a part may become any number of tokens.

    A text has no more tokens than bytes. A part has what the profile states, whatever its bytes.

    Args:
        body_bytes: length of the request's body.
        messages: of the prompt.
        part_tokens: the most tokens of a part, by its type.
    """
    counts = media_parts(messages)
    if not counts:
        return body_bytes
    if not counts.keys() <= part_tokens.keys():
        return None
    parts = sum(part_tokens[kind] * count for kind, count in counts.items())
    return text_bytes(body_bytes, messages) + parts


def text_bytes(body_bytes: int, messages: Iterable[Mapping[str, Any]] | None) -> int:
    """The length of a body without the data of its images, recordings and files."""
    data = sum(
        len(value)
        for part in _media(messages)
        for value in cast("dict[str, Any]", part[part["type"]]).values()
        if isinstance(value, str)
    )
    return max(0, body_bytes - data)


def _media(messages: Iterable[Mapping[str, Any]] | None) -> Iterator[Mapping[str, Any]]:
    for message in messages or ():
        content = message.get("content")
        for part in cast("list[Any]", content) if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") in MEDIA_PARTS:  # pyright: ignore[reportUnknownMemberType]
                yield part  # pyright: ignore[reportUnknownVariableType]
