"""JSON in texts: strict parsing, equality, and paths."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import msgspec

from evalharness.scoring.base import is_list, is_object
from evalharness.scoring.code_blocks import json_blocks

_STEP = re.compile(r"(?:^|\.)(?P<key>[^.\[\]]+)|\[(?P<index>-?\d+)\]")


class NotJSONError(ValueError):
    """The text is not one JSON value; the message says where it goes wrong."""


def parse_json(text: str, *, allow_code_fence: bool) -> Any:
    """Decode a text that is one JSON value (RFC 8259: no NaN, no comments, nothing around it).

    With ``allow_code_fence``, JSON in a Markdown code block is read, too: of several blocks, the
    first that is JSON, those that say so before those that name no language. A byte order mark
    (U+FEFF) at the beginning is left out.

    Raises:
        NotJSONError: it is something else.

    """
    text = text.removeprefix("\ufeff")
    try:
        return _decode(text)
    except NotJSONError:
        if not allow_code_fence:
            raise
        for block in json_blocks(text):
            with contextlib.suppress(NotJSONError):
                return _decode(block)
        raise


def _decode(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise NotJSONError(str(error)) from None
    except RecursionError:
        raise NotJSONError("nested too deeply") from None


def canonical_text(value: Any) -> str:
    """Write a decoded JSON value canonically: sorted keys, no spaces."""
    return msgspec.json.encode(value, order="sorted").decode()


def same_json(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    """Tell whether two decoded JSON values are equal.

    Objects compare without order, arrays with it; ``1`` equals ``1.0``, ``true`` does not equal
    ``1``. ``tolerance`` is the largest absolute difference between two numbers.
    """
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b or abs(a - b) <= tolerance
    if is_object(a) and is_object(b):
        return a.keys() == b.keys() and all(same_json(a[key], b[key], tolerance) for key in a)
    if is_list(a) and is_list(b):
        pairs = zip(a, b, strict=False)
        return len(a) == len(b) and all(same_json(x, y, tolerance) for x, y in pairs)
    return type(a) is type(b) and a == b


def parse_path(path: str) -> list[str | int]:
    """Split a path such as ``result.items[0].name``; an empty one is the whole value.

    Raises:
        ValueError: not such a path.

    """
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError(f"not a path like `a.b[0].c`: {path!r}")
        steps.append(match["key"] if match["key"] is not None else int(match["index"]))
        at = match.end()
    return steps


def value_at(value: Any, steps: list[str | int]) -> Any:
    """Find the value at the end of the path.

    Raises:
        LookupError: the value has no such key or index.

    """
    for step in steps:
        if isinstance(step, int):
            if not is_list(value):
                raise LookupError(f"no array where index {step} is sought")
            value = value[step]
        else:
            if not is_object(value):
                raise LookupError(f"no object where key {step!r} is sought")
            value = value[step]
    return value
