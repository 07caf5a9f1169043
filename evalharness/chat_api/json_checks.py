"""Small checks of JSON shapes, shared by parameters and messages.

A check takes a value and the path of its place and raises :class:`ShapeError`; the caller turns
that into the error of its own domain. Types are strict: a bool is not an integer, a number is
finite, a text is valid Unicode.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from typing import Any, cast

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


def shown(value: Any) -> str:
    """A value for a message to people: its repr, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def must(path: str, what: str, value: Any) -> ShapeError:
    """The error that says what ``path`` must be and what was given."""
    return ShapeError(path, f"must be {what}, got {shown(value)}")


def text(value: Any, path: str) -> None:
    """A string that UTF-8 can carry (no lone surrogates)."""
    if not isinstance(value, str):
        raise must(path, "a text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ShapeError(path, "holds a lone surrogate, which UTF-8 cannot carry") from None


def boolean(value: Any, path: str) -> None:
    """True or False, not 0 or 1."""
    if not isinstance(value, bool):
        raise must(path, "true or false", value)


def whole(low: int | None, high: int | None) -> Check:
    """An integer within the closed range; a bool or 1.0 is none."""

    def check(value: Any, path: str) -> None:
        bounds = _bounds(low, high)
        if isinstance(value, bool) or not isinstance(value, int):
            raise must(path, f"a whole number{bounds}", value)
        if not _inside(value, low, high) or abs(value) > INT_LIMIT:
            raise must(path, f"a whole number{bounds or ' of at most 63 bits'}", value)

    return check


def number(low: float | None, high: float | None) -> Check:
    """A finite integer or float within the closed range; a bool is none."""

    def check(value: Any, path: str) -> None:
        bounds = _bounds(low, high)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise must(path, f"a number{bounds}", value)
        if not _inside(value, low, high) or not math.isfinite(value):
            raise must(path, f"a finite number{bounds}", value)

    return check


def one_of(*allowed: str) -> Check:
    """One of the given words."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str) or value not in allowed:
            raise must(path, _listed(allowed), value)

    return check


def optional(inner: Check) -> Check:
    """Null, or what ``inner`` accepts."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def array(inner: Check, *, what: str, least: int = 0, most: int | None = None) -> Check:
    """A list of ``least`` to ``most`` items, each accepted by ``inner``."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise must(path, f"a list of {what}", value)
        items = cast("list[Any]", value)
        if len(items) < least:
            raise ShapeError(path, f"needs at least {least} of {what}, got {len(items)}")
        if most is not None and len(items) > most:
            raise ShapeError(path, f"takes at most {most} {what}, got {len(items)}")
        for index, item in enumerate(items):
            inner(item, f"{path}[{index}]")

    return check


def obj(required: dict[str, Check], others: dict[str, Check] | None = None) -> Check:
    """An object with these keys and no others."""
    known = {**required, **(others or {})}

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise must(path, f"an object with {', '.join(required)}", value)
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
    """Anything JSON can say: finite numbers, valid texts, text keys, at most 64 levels."""
    if depth > MAX_DEPTH:
        raise ShapeError(path, f"is nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        text(value, path)
    elif isinstance(value, int):
        whole(None, None)(value, path)
    elif isinstance(value, float):
        number(None, None)(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            any_json(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            text(key, path)
            any_json(item, f"{path}.{key}", depth + 1)
    else:
        raise must(path, "a JSON value", value)


def json_object(value: Any, path: str) -> None:
    """An object with any JSON inside."""
    if not isinstance(value, dict):
        raise must(path, "an object", value)
    any_json(value, path)


def text_or_parts(value: Any, path: str) -> None:
    """A text, or a list of ``{"type": "text", "text": …}`` parts."""
    if not isinstance(value, str):
        if not isinstance(value, list):
            raise must(path, "a text or a list of text parts", value)
        _parts(value, path)
    else:
        text(value, path)


def suggestion(key: Any, known: Iterable[str]) -> str | None:
    """The known name closest to a mistyped one, or None."""
    close = difflib.get_close_matches(str(key), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def unknown_key(path: str, key: Any, known: Iterable[str]) -> ShapeError:
    """The error for a key that has no meaning here."""
    close = suggestion(key, known)
    hint = f"did you mean `{close}`?" if close else f"known here: {', '.join(sorted(known))}"
    return ShapeError(f"{path}.{key}", "is not a known key", hint)


def _inside(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return "" if high is None else f" of at most {high}"


def _listed(words: tuple[str, ...]) -> str:
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


_parts = array(obj({"type": one_of("text"), "text": text}), what="text parts")
