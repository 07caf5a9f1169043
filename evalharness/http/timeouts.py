"""Time limits of one exchange, on one timer.

Every phase has its own limit, and the whole exchange a total one. Setting a timer at each chunk
would cost more than reading the chunk, so one timer is set for the earliest deadline; when it fires
and the deadline has moved on, it is set again.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

from evalharness.records import ErrorKind

_REPEAT_CANCEL_S = 1.0


class ExchangeTimer:
    """Cancels the current task when a deadline passes; :attr:`expired` then says which one.

    Args:
        total_s: of the whole exchange.
        kind: the first phase, None for none.
        seconds: its limit.
        shortest_s: no later phase is shorter, which saves setting the timer again for it.

    Use as a context manager around the awaits of one exchange. The cancellation that a deadline
    caused must be handled by the code around it: see :meth:`absorb_cancellation`.
    """

    __slots__ = (
        "_cancelling_before",
        "_cancels",
        "_handle",
        "_kind",
        "_loop",
        "_phase_deadline",
        "_shortest_s",
        "_task",
        "_total_deadline",
        "expired",
    )

    def __init__(
        self,
        total_s: float,
        kind: ErrorKind | None = None,
        seconds: float = 0.0,
        *,
        shortest_s: float = math.inf,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._cancelling_before = 0 if self._task is None else self._task.cancelling()
        now = self._loop.time()
        self._total_deadline = now + total_s
        self._kind = kind
        self._shortest_s = shortest_s
        self._phase_deadline = self._total_deadline if kind is None else now + seconds
        self._handle: asyncio.TimerHandle | None = None
        self._cancels = 0
        self.expired: ErrorKind | None = None

    def __enter__(self) -> Self:
        self._set()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def start_phase(self, kind: ErrorKind, seconds: float) -> None:
        """Enter a phase, or begin it anew: fail with ``kind`` unless called again in time.

        Raises:
            asyncio.CancelledError: see :meth:`raise_if_cancelled`.
        """
        self.raise_if_cancelled()
        self._kind = kind
        self._phase_deadline = self._loop.time() + seconds
        if self._handle is None or self._phase_deadline < self._handle.when():
            self._set()

    def raise_if_cancelled(self) -> None:
        """Raise a cancellation that got lost.

        When a result is ready at the moment of a cancellation, a library can return the result
        instead; then neither a deadline nor a cancellation from outside would have any effect.

        Raises:
            asyncio.CancelledError: the task was cancelled since this timer began.
        """
        if self._task is not None and self._task.cancelling() > self._cancelling_before:
            raise asyncio.CancelledError

    def absorb_cancellation(self) -> bool:
        """Whether a cancellation just caught was this timer's alone; it is taken back then."""
        if self._task is None or not self._cancels:
            return False
        cancelling = self._task.cancelling()
        for _ in range(self._cancels):
            cancelling = self._task.uncancel()
        self._cancels = 0
        return cancelling <= self._cancelling_before

    def current_phase(self) -> tuple[ErrorKind | None, float]:
        """The phase and its deadline (loop time); overridden where a phase ends by itself."""
        return self._kind, self._phase_deadline

    def _set(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        when = min(self._phase_deadline, self._total_deadline, self._loop.time() + self._shortest_s)
        self._handle = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        now = self._loop.time()
        self._kind, self._phase_deadline = self.current_phase()
        if now >= self._total_deadline:
            self.expired = ErrorKind.TOTAL_TIMEOUT
        elif now >= self._phase_deadline and self._kind is not None:
            self.expired = self._kind
        else:
            self._set()
            return
        # Again after a while, in case the library ignored the cancellation and goes on.
        self._handle = self._loop.call_later(_REPEAT_CANCEL_S, self._on_timer)
        if self._task is not None:
            self._cancels += 1
            self._task.cancel()
