"""The values of a row in a template, and their text.

What is rendered is text, a number or a boolean, or the JSON of a list or an object. A null, a
function and anything else are refused: ``None`` or a memory address is in no one's prompt. Nulls,
lists and objects of a row have types of their own for that, so that also filters and methods that
make text of them keep to it.
"""

# A template may ask for any attribute without an underscore.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn, cast

import jinja2

_SHOWN_FIELDS = 20


class NotTextError(Exception):
    """What a template would render is neither text nor has JSON."""


class NullError(NotTextError):
    """A template would render a null."""


class Null:
    """A null of a row: false, equal to ``none`` and by no way a text; ``path`` names it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Null)

    def __hash__(self) -> int:
        return hash(None)

    def __repr__(self) -> NoReturn:
        raise NullError(f"`{self._path}` is null, which is no text")

    __str__ = __repr__

    def __format__(self, spec: str) -> NoReturn:
        repr(self)
        raise AssertionError


class _List(list[Any]):
    """A list of a row: its text is its JSON."""

    _path = "a list"

    def __repr__(self) -> str:
        return to_json(self)


class _Object(dict[str, Any]):
    """An object of a row: its text is its JSON."""

    _path = "an object"

    def __repr__(self) -> str:
        return to_json(self)


Null.__name__, Null.__module__ = "null", "builtins"  # as messages about types call it
_List.__name__, _Object.__name__ = "list", "object"


def of_row(value: Any, path: str) -> Any:
    """A value of a row, or a part of one, as templates see it."""
    # Most values are texts: those of a container are not given paths one by one.
    if value is None:
        return Null(path)
    if isinstance(value, list | tuple):
        elements = cast("Iterable[Any]", value)
        row_list = _List(
            item if type(item) is str else of_row(item, f"{path}[{i}]")
            for i, item in enumerate(elements)
        )
        row_list._path = path
        return row_list
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        row_object = _Object(
            (key, item if type(item) is str else of_row(item, f"{path}.{key}"))
            for key, item in items
        )
        row_object._path = path
        return row_object
    return value


def refuse_null(value: Any) -> None:
    """Refuse a null, from a row or written in the template.

    Raises:
        NullError: it is one.
    """
    if value is None or isinstance(value, Null):
        to_text(value, "a value")


def no_such_part(value: Any, part: Any) -> str:
    """The sentence that a value has no field or element of this name or number."""
    if isinstance(value, Null):
        return f"`{value._path}` is null, and has no `{part}`"
    if isinstance(value, dict):
        fields = cast("dict[Any, Any]", value)
        whose = f"`{value._path}`" if isinstance(value, _Object) else "the object"
        more = ", …" if len(fields) > _SHOWN_FIELDS else ""
        known = ", ".join(str(key) for key in list(fields)[:_SHOWN_FIELDS]) or "nothing"
        return f"{whose} has no field `{part}`; it has {known}{more}"
    if isinstance(value, _List):
        return f"the list `{value._path}` has no `{part}`"
    kinds = (
        (str, "text"),
        (bool, "boolean"),
        (int | float, "number"),
        (list, "list"),
        (tuple, "list"),
    )
    kind = next((words for of, words in kinds if isinstance(value, of)), type(value).__name__)
    return f"a {kind} has no `{part}`"


def to_json(
    value: Any,
    *,
    indent: int | None = None,
    ensure_ascii: bool = False,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is read, in the row's own order of keys; the options are those of ``json.dumps``.

    Raises:
        NotTextError: there is a value in it that JSON does not have.
    """
    return json.dumps(
        value,
        indent=indent,
        ensure_ascii=ensure_ascii,
        separators=separators,
        sort_keys=sort_keys,
        allow_nan=False,
        default=_json_default,
    )


def _json_default(value: Any) -> None:
    if not isinstance(value, Null):
        to_text(value, "a value in it")  # an undefined name says so itself
        raise NotTextError(f"a value of type {type(value).__name__} has no JSON")


def to_text(value: Any, expression: str) -> str:
    """The text of a value in a prompt.

    Raises:
        NotTextError: it has none.
    """
    if type(value) is str:
        return value
    if isinstance(value, str | bool | int | float | Null | jinja2.Undefined):
        return str(value)
    if value is None:
        raise NullError(f"`{expression}` is null, which is no text")
    if isinstance(value, list | tuple | dict):
        return to_json(value)
    kind = "function" if callable(value) and hasattr(value, "__name__") else type(value).__name__
    raise NotTextError(f"`{expression}` is a {kind}, which is no text")


def argument(value: Any) -> Any:
    """What a text is formatted with: numbers stay, everything else becomes its text."""
    return value if isinstance(value, int | float) else to_text(value, "an argument")


def for_format(value: Any, name: str) -> Any:
    """An argument of ``str.format``, whose items and attributes the format may ask for.

    Raises:
        NotTextError: it has no text, whatever the format asks of it.
    """
    row_value = of_row(value, name)
    if not isinstance(row_value, Null):
        to_text(row_value, name)
    return row_value
