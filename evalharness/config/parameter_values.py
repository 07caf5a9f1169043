"""When two values of a parameter are the same value: 0.0 equals 0, and true does not equal 1."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, cast

_EXACT_BELOW = 2**53  # from here on a float does not hold every whole number


def plain_number(value: Any) -> Any:
    """Return a whole float as an int, anything else unchanged: 0 and 0.0 are then one value."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_BELOW:
        return int(value)
    return value


def comparison_key(value: Any) -> Hashable:
    """Return a form in which equal values are equal: 0 and 0.0 are one, True and 1 are not."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, int | float):
        return ("number", plain_number(value) if math.isfinite(value) else str(value))
    if isinstance(value, list | tuple):
        return ("list", *(comparison_key(item) for item in cast("list[Any]", value)))
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return ("dict", *sorted((key, comparison_key(item)) for key, item in items))
    return ("other", str(value))


def same_value(a: Any, b: Any) -> bool:
    """Whether two values are one: 0 and 0.0 are, true and 1 are not."""
    return comparison_key(a) == comparison_key(b)
