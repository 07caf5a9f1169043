"""Checks of JSON values, shared by parameters and messages.

A check takes a value and its path and raises :class:`ShapeError`; the caller turns that into the
error of its own domain. Types are strict: a bool is not an integer, a number is finite, a string is
valid Unicode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

from evalharness.process.text import closest, did_you_mean

INT_LIMIT = 2**63 - 1  # what a Parquet int64 column and every JSON reader can hold
MAX_DEPTH = 64

Check = Callable[[Any, str], None]


class ShapeError(Exception):
    """A value of the wrong type, shape or range at ``path`` (dotted, from the checked root)."""

    def __init__(self, path: str, problem: str, hint: str | None = None) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem
        self.hint = hint


def short_repr(value: Any) -> str:
    """A value as shown in a message: its repr, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def type_mismatch(path: str, what: str, value: Any) -> ShapeError:
    """The error that says what ``path`` must be and what was given."""
    return ShapeError(path, f"must be {what}, got {short_repr(value)}")


def string(value: Any, path: str) -> None:
    """A string that UTF-8 can carry (no lone surrogates)."""
    if not isinstance(value, str):
        raise type_mismatch(path, "a text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ShapeError(path, "holds a lone surrogate, which UTF-8 cannot carry") from None


def boolean(value: Any, path: str) -> None:
    """True or False, not 0 or 1."""
    if not isinstance(value, bool):
        raise type_mismatch(path, "true or false", value)


def integer(low: int | None, high: int | None) -> Check:
    """An integer within the closed range; a bool or 1.0 is not one."""

    def check(value: Any, path: str) -> None:
        bounds = _bounds(low, high)
        if isinstance(value, bool) or not isinstance(value, int):
            raise type_mismatch(path, f"a whole number{bounds}", value)
        if not _inside(value, low, high) or abs(value) > INT_LIMIT:
            raise type_mismatch(path, f"a whole number{bounds or ' of at most 63 bits'}", value)

    return check


def number(low: float | None, high: float | None) -> Check:
    """A finite integer or float within the closed range; a bool is not one."""

    def check(value: Any, path: str) -> None:
        bounds = _bounds(low, high)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise type_mismatch(path, f"a number{bounds}", value)
        if not _inside(value, low, high) or not math.isfinite(value):
            raise type_mismatch(path, f"a finite number{bounds}", value)

    return check


def one_of(*allowed: str) -> Check:
    """One of the given words."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str) or value not in allowed:
            raise type_mismatch(path, _options_text(allowed), value)

    return check


def optional(inner: Check) -> Check:
    """Null, or what ``inner`` accepts."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def array(inner: Check, *, what: str, min_items: int = 0, max_items: int | None = None) -> Check:
    """A list of ``least`` to ``most`` items, each accepted by ``inner``."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise type_mismatch(path, f"a list of {what}", value)
        items = cast("list[Any]", value)
        if len(items) < min_items:
            raise ShapeError(path, f"needs at least {min_items} of {what}, got {len(items)}")
        if max_items is not None and len(items) > max_items:
            raise ShapeError(path, f"takes at most {max_items} {what}, got {len(items)}")
        for index, item in enumerate(items):
            inner(item, f"{path}[{index}]")

    return check


def object_with(required: dict[str, Check], others: dict[str, Check] | None = None) -> Check:
    """An object with these keys and no others."""
    known = {**required, **(others or {})}

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise type_mismatch(path, f"an object with {', '.join(required)}", value)
        fields = cast("dict[Any, Any]", value)
        for key in required:
            if key not in fields:
                raise ShapeError(f"{path}.{key}", "is missing")
        for key, item in fields.items():
            if key not in known:
                raise unknown_key(path, key, known)
            known[key](item, f"{path}.{key}")

    return check


def any_json(value: Any, path: str, depth: int = 0) -> None:
    """Any JSON value: finite numbers, valid strings, string keys, at most 64 levels."""
    if depth > MAX_DEPTH:
        raise ShapeError(path, f"is nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        string(value, path)
    elif isinstance(value, int):
        integer(None, None)(value, path)
    elif isinstance(value, float):
        number(None, None)(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            any_json(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            string(key, path)
            any_json(item, f"{path}.{key}", depth + 1)
    else:
        raise type_mismatch(path, "a JSON value", value)


def json_object(value: Any, path: str) -> None:
    """An object with any JSON inside."""
    if not isinstance(value, dict):
        raise type_mismatch(path, "an object", value)
    any_json(value, path)


def text_or_parts(value: Any, path: str) -> None:
    """A text, or a list of ``{"type": "text", "text": …}`` parts."""
    if not isinstance(value, str):
        if not isinstance(value, list):
            raise type_mismatch(path, "a text or a list of text parts", value)
        _parts(value, path)
    else:
        string(value, path)


def unknown_key(path: str, key: Any, known: Iterable[str]) -> ShapeError:
    """The error for a key that has no meaning here."""
    close = closest(str(key), known)
    hint = did_you_mean(f"`{close}`") if close else f"known here: {', '.join(sorted(known))}"
    return ShapeError(f"{path}.{key}", "is not a known key", hint)


def _inside(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return "" if high is None else f" of at most {high}"


def _options_text(words: tuple[str, ...]) -> str:
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


_parts = array(object_with({"type": one_of("text"), "text": string}), what="text parts")
