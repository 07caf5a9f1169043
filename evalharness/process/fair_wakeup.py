"""Futures resolved a few at a time, so that the event loop polls its sockets in between.

The work after a reply (classifying it, recording it, sending the next request) takes a tenth of a
millisecond or more, and so does the work after a commit. When a thousand replies come in one turn
of the event loop, it would not poll its sockets until all of that is done, and every reply or piece
of a stream that arrives meanwhile would get too late a time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Generic, TypeVar

# How long callbacks may take until the event loop polls its sockets again.
_SLICE_S = 0.0005
# The first estimate of the work after one result, and the weight of each new measurement.
_FIRST_COST_S = 0.0001
_NEW_WEIGHT = 0.2

T = TypeVar("T")


class BatchedWakeups(Generic[T]):
    """Sets the results of futures, in order, as many per turn of the event loop as fit in a slice.

    The work after the futures of a turn is timed by two callbacks, one before and one after it: the
    rest of the turn does not count. Made and used on one running event loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pending: deque[tuple[asyncio.Future[T], T]] = deque()
        self._cost_s = _FIRST_COST_S
        self._per_turn = self._remaining = round(_SLICE_S / _FIRST_COST_S)
        self._scheduled = False
        self._began_at = 0.0

    def put(self, waiter: asyncio.Future[T], result: T) -> None:
        """Set the result of a future: in this turn where there is room, else in a later one."""
        if self._remaining and not self._pending:
            self._remaining -= 1
            _resolve(waiter, result)
        else:
            self._pending.append((waiter, result))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """A new turn of the event loop: resolve some more."""
        self._remaining = self._per_turn
        if not self._pending:
            self._scheduled = False
            return
        self._loop.call_soon(self._begin)
        while self._pending and self._remaining:
            self._remaining -= 1
            _resolve(*self._pending.popleft())
        self._loop.call_soon(self._end, self._per_turn - self._remaining)

    def _begin(self) -> None:
        self._began_at = time.perf_counter()

    def _end(self, count: int) -> None:
        took_s = (time.perf_counter() - self._began_at) / count
        self._cost_s += _NEW_WEIGHT * (took_s - self._cost_s)
        self._per_turn = max(1, int(_SLICE_S / max(self._cost_s, 1e-6)))
        self._loop.call_soon(self._turn)


def _resolve(waiter: asyncio.Future[T], result: T) -> None:
    if not waiter.done():
        waiter.set_result(result)
