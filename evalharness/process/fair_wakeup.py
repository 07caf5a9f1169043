"""Futures resolved a few at a time, so that the event loop sees to its sockets in between.

What follows a reply (judging it, writing it down, sending the next request) takes a tenth of a
millisecond or more, and so does what follows a commit. Where a thousand come in one turn of the
event loop, it would not look at its sockets for as long as all of that takes, and every reply or
piece of a stream that arrives meanwhile would be noted too late.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Generic, TypeVar

# How long what follows may take until the event loop looks at its sockets again.
_SLICE_S = 0.0005
# What following one is thought to take at first, and how much of that each slice corrects.
_COST_S = 0.0001
_NEW_SHARE = 0.2

T = TypeVar("T")


class Slices(Generic[T]):
    """Sets the results of futures, in order, as many a turn of the event loop as fit into a slice.

    What follows a future is timed by two callbacks, one before and one behind it: how long the
    event loop takes for all else does not count. Made and used on one running event loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._line: deque[tuple[asyncio.Future[T], T]] = deque()
        self._cost_s = _COST_S
        self._room = self._left = round(_SLICE_S / _COST_S)
        self._turning = False
        self._began = 0.0

    def put(self, waiter: asyncio.Future[T], result: T) -> None:
        """Give a future its result, in this turn where there is room, else soon."""
        if self._left and not self._line:
            self._left -= 1
            _give(waiter, result)
        else:
            self._line.append((waiter, result))
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """A new turn of the event loop: resolve some more."""
        self._left = self._room
        if not self._line:
            self._turning = False
            return
        self._loop.call_soon(self._begin)
        while self._line and self._left:
            self._left -= 1
            _give(*self._line.popleft())
        self._loop.call_soon(self._end, self._room - self._left)

    def _begin(self) -> None:
        self._began = time.perf_counter()

    def _end(self, count: int) -> None:
        took_s = (time.perf_counter() - self._began) / count
        self._cost_s += _NEW_SHARE * (took_s - self._cost_s)
        self._room = max(1, int(_SLICE_S / max(self._cost_s, 1e-6)))
        self._loop.call_soon(self._turn)


def _give(waiter: asyncio.Future[T], result: T) -> None:
    if not waiter.done():
        waiter.set_result(result)
