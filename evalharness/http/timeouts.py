"""Time limits of one exchange, on one timer.

Every phase has its own limit and the whole has a hard one. Re-arming a timer at each chunk would
cost more than reading the chunk, so one timer is set for the earliest deadline and looks again
when it rings: a deadline that has moved on only re-arms it.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

from evalharness.records import ErrorKind

_INSIST_SECONDS = 1.0


class Watch:
    """Cancels the current task when a deadline passes; :attr:`expired` then says which one.

    Args:
        total_s: of the whole exchange.
        kind: the first phase, None for none.
        seconds: its limit.
        least_s: no later phase is shorter, which spares setting the timer again for it.

    Use as a context manager around the awaits of one exchange. The cancellation that a deadline
    caused must be answered by the code around it: see :meth:`own`.
    """

    __slots__ = (
        "_before",
        "_cancels",
        "_due",
        "_handle",
        "_kind",
        "_least_s",
        "_loop",
        "_task",
        "_total",
        "expired",
    )

    def __init__(
        self,
        total_s: float,
        kind: ErrorKind | None = None,
        seconds: float = 0.0,
        *,
        least_s: float = math.inf,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._before = 0 if self._task is None else self._task.cancelling()
        now = self._loop.time()
        self._total = now + total_s
        self._kind = kind
        self._least_s = least_s
        self._due = self._total if kind is None else now + seconds
        self._handle: asyncio.TimerHandle | None = None
        self._cancels = 0
        self.expired: ErrorKind | None = None

    def __enter__(self) -> Self:
        self._arm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def phase(self, kind: ErrorKind, seconds: float) -> None:
        """Enter a phase, or begin it anew: fail with ``kind`` unless called again in time.

        Raises:
            asyncio.CancelledError: see :meth:`check`.
        """
        self.check()
        self._kind = kind
        self._due = self._loop.time() + seconds
        if self._handle is None or self._due < self._handle.when():
            self._arm()

    def check(self) -> None:
        """Deliver a cancellation that got lost.

        A result that is ready in the very moment of a cancellation can win over it inside a
        library; then neither a deadline nor whoever cancelled the task would be heard.

        Raises:
            asyncio.CancelledError: the task was cancelled since this watch began.
        """
        if self._task is not None and self._task.cancelling() > self._before:
            raise asyncio.CancelledError

    def own(self) -> bool:
        """Whether a cancellation just caught was this watch's alone, which takes it back."""
        if self._task is None or not self._cancels:
            return False
        left = self._task.cancelling()
        for _ in range(self._cancels):
            left = self._task.uncancel()
        self._cancels = 0
        return left <= self._before

    def look(self) -> tuple[ErrorKind | None, float]:
        """The phase and its deadline (loop time); overridden where a phase moves by itself."""
        return self._kind, self._due

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        when = min(self._due, self._total, self._loop.time() + self._least_s)
        self._handle = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        self._kind, self._due = self.look()
        if now >= self._total:
            self.expired = ErrorKind.TOTAL_TIMEOUT
        elif now >= self._due and self._kind is not None:
            self.expired = self._kind
        else:
            self._arm()
            return
        # Once more after a while, should the library answer the cancellation by going on.
        self._handle = self._loop.call_later(_INSIST_SECONDS, self._ring)
        if self._task is not None:
            self._cancels += 1
            self._task.cancel()
