"""One page of a list, by cursor and limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from evalharness.emulator.request_intake import RequestRefusedError
from evalharness.emulator.validation.error_bodies import Problem
from evalharness.emulator.validation.validation_hints import Hint


class _Listed(Protocol):
    @property
    def object_id(self) -> str: ...


T = TypeVar("T", bound=_Listed)


def page_limit(query: Mapping[str, str], default: int, most: int) -> int:
    """The page's length.

    Raises:
        RequestRefusedError: it is no integer between 1 and ``most``.
    """
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise bad_parameter("limit", f"expected an integer between 1 and {most}, got {text!r}")
    return int(text)


def page_after(items: Sequence[T], after: str | None, limit: int) -> tuple[list[T], bool]:
    """The items that follow the one named ``after``, and whether there are more.

    Raises:
        RequestRefusedError: there is none of that name.
    """
    start = 0 if after is None else _position(items, after, "after") + 1
    return list(items[start : start + limit]), len(items) > start + limit


def page_before(items: Sequence[T], before: str, limit: int) -> tuple[list[T], bool]:
    """The items just before the one named ``before``, and whether there are more before them.

    Raises:
        RequestRefusedError: there is none of that name.
    """
    end = _position(items, before, "before_id")
    return list(items[max(0, end - limit) : end]), end > limit


def bad_parameter(name: str, message: str, code: str | None = None) -> RequestRefusedError:
    """A 400 that names the parameter."""
    text = f"Invalid value for '{name}': {message}."
    return RequestRefusedError(
        Problem(status=400, code=code, message=text, hints=[Hint(name, message)])
    )


def _position(items: Sequence[_Listed], name: str, parameter: str) -> int:
    for position, item in enumerate(items):
        if item.object_id == name:
            return position
    raise bad_parameter(parameter, f"no object with the id {name!r}")
