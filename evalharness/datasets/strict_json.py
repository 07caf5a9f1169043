"""JSON read exactly: no repeated keys, no NaN, no broken text; an error names its location."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, cast

import msgspec

from evalharness.errors import DatasetError

_decode = msgspec.json.Decoder().decode
# Each key of a decoded object was written with `":` behind it.
_KEY_MARK = re.compile(r'"\s*:')


def parse_json_line(line: str, location: str) -> Any:
    """As :func:`parse_strict_json`, several times faster where nothing is wrong.

    Raises:
        DatasetError: with the location and, for malformed text, the column.
    """
    try:
        value = _decode(line)
    except (msgspec.MsgspecError, RecursionError):
        parse_strict_json(line, location)
        raise DatasetError(f"{location}: malformed JSON") from None
    # msgspec takes the last of two equal keys, and then fewer keys are decoded than were written.
    # A text that holds `":` counts as a key, too; the strict reading tells the two apart.
    if len(_KEY_MARK.findall(line)) != _count_keys(value):
        parse_strict_json(line, location)
    return value


def _count_keys(value: Any) -> int:
    """Keys in all objects of decoded JSON (which holds exact types, so ``type`` suffices)."""
    count = 0
    if type(value) is dict:
        items = cast("dict[str, Any]", value)
        count, value = len(items), items.values()
    elif type(value) is not list:
        return 0
    for item in cast("Iterable[Any]", value):
        if type(item) is dict or type(item) is list:
            count += _count_keys(item)
    return count


def parse_strict_json(text: str, location: str) -> Any:
    """A JSON value without repeated keys, NaN, infinities or lone surrogates.

    Raises:
        DatasetError: with the location and, for malformed text, the column.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            repeated = first_repeated([key for key, _ in items])
            raise DatasetError(
                f"{location}: key {repeated!r} appears twice in one object",
                hint="keep one of them; which was meant cannot be known",
            )
        return result

    def constant(word: str) -> NoReturn:
        raise DatasetError(
            f"{location}: {word} is not a JSON number", hint="write null for unknown"
        )

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{location}: malformed JSON, column {error.colno}: {error.msg}"
        ) from None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DatasetError(f"{location}: malformed JSON: {reason}") from None
    check_json_value(value, location)
    return value


def first_repeated(names: Sequence[str]) -> str | None:
    """The first name that is there more than once; None where none is."""
    counts = Counter(names)
    return next((name for name in names if counts[name] > 1), None)


def check_json_value(value: Any, location: str, key: str = "") -> None:
    """Refuse what JSON cannot hold: numbers that are not finite, broken text, other types.

    Raises:
        DatasetError: naming the location and the key.
    """
    at = f" in {key}" if key else ""
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise DatasetError(f"{location}: half a surrogate pair{at} is no text") from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise DatasetError(f"{location}: {value}{at} is not a finite number", hint="write null")
    elif isinstance(value, dict):
        items = cast("dict[Any, Any]", value)
        for name, item in items.items():
            if not isinstance(name, str):
                raise DatasetError(f"{location}: key {name!r}{at} is not text")
            check_json_value(name, location, key)
            check_json_value(item, location, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        elements = cast("list[Any]", value)
        for element in elements:
            check_json_value(element, location, key)
    elif value is not None and not isinstance(value, bool | int):
        raise DatasetError(
            f"{location}: a value of type {type(value).__name__}{at} has no JSON form",
            hint="store it as text or as numbers",
        )


def json_type_name(value: Any) -> str:
    """The type of a JSON value, for messages: ``a list``, ``a text``, ``null``."""
    kinds = ((list, "a list"), (str, "a text"), (bool, "a boolean"), (int | float, "a number"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")
