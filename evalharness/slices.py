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

# What a turn of the event loop may take before fewer are resolved in the next.
_TURN_S = 0.001
_MOST = 256

T = TypeVar("T")


class Slices(Generic[T]):
    """Sets the results of futures, in order, as many a turn of the event loop as it has time for.

    Made and used on one running event loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._line: deque[tuple[asyncio.Future[T], T]] = deque()
        self._each_turn = self._left = 8
        self._turning = False
        self._turned_at = 0.0

    def put(self, waiter: asyncio.Future[T], result: T) -> None:
        """Give a future its result, in this turn where there is room, else soon."""
        if self._left and not self._line:
            self._left -= 1
            _give(waiter, result)
        else:
            self._line.append((waiter, result))
        if not self._turning:
            self._turning = True
            self._turned_at = time.perf_counter()
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """A new turn of the event loop: resolve some more."""
        now = time.perf_counter()
        if now - self._turned_at > _TURN_S:
            self._each_turn = max(1, self._each_turn // 2)
        elif not self._left:
            self._each_turn = min(_MOST, 2 * self._each_turn)
        self._turned_at, self._left = now, self._each_turn
        self._turning = bool(self._line)
        if self._turning:
            self._loop.call_soon(self._turn)
        while self._line and self._left:
            self._left -= 1
            _give(*self._line.popleft())


def _give(waiter: asyncio.Future[T], result: T) -> None:
    if not waiter.done():
        waiter.set_result(result)
