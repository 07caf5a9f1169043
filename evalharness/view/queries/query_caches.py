"""What was found last in the records of a run, as long as they do not change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from evalharness.view.queries.record_conditions import Choices

_T = TypeVar("_T")

_COUNTS = 64
_SEARCHES = 6
_SORTED = 4  # arrays of four bytes a record


class LastUsed(Generic[_T]):
    """A mapping that keeps what was used last.

    Args:
        size: how many values are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, _T] = OrderedDict()

    def get(self, key: Hashable) -> _T | None:
        """The value of a key; None without one."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Hashable, value: _T) -> _T | None:
        """Keep a value; the one that is not kept any more."""
        self._values[key] = value
        return self._values.popitem(last=False)[1] if len(self._values) > self._size else None

    def values(self) -> list[_T]:
        """All of them."""
        return [*self._values.values()]


class QueryCaches:
    """Of one index.

    Attributes:
        counts: how many rows a filter finds.
        sorted: the numbers of all rows that a filter finds, in its order.
        searches: the tables with the rows that have some words.
        choices: what filters can choose among.
    """

    def __init__(self) -> None:
        self.counts: LastUsed[int] = LastUsed(_COUNTS)
        self.sorted: LastUsed[Any] = LastUsed(_SORTED)
        self.searches: LastUsed[str] = LastUsed(_SEARCHES)
        self.choices: Choices | None = None
