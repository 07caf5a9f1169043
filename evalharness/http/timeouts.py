"""Time limits of one exchange, on one timer.

Every phase has its own limit, and the whole exchange a total one. Setting a timer at each chunk
would cost more than reading the chunk, so one timer is set for the earliest deadline; when it fires
and the deadline has moved on, it is set again. After a pause of this process it begins anew, see
:mod:`evalharness.process.pauses`.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

from evalharness.process.pauses import LATE_S, MAX_PAUSES, READ_S
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
        "_due",
        "_handle",
        "_has_read",
        "_kind",
        "_loop",
        "_pauses",
        "_phase_deadline",
        "_phase_s",
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
        self._phase_s = total_s if kind is None else seconds
        self._phase_deadline = now + self._phase_s
        self._handle: asyncio.TimerHandle | None = None
        self._due = now  # of the handle: uvloop's has none where the time has come already
        self._cancels = self._pauses = 0
        self._has_read = False
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
        self._kind, self._phase_s = kind, seconds
        self._phase_deadline = self._loop.time() + seconds
        if self._handle is None or self._phase_deadline < self._due:
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

    def begin_phase_anew(self, now: float) -> None:
        """This process stood still: the phase's limit counts from ``now`` (loop time)."""
        self._phase_deadline = now + self._phase_s

    def _set(self) -> None:
        now = self._loop.time()
        self._set_at(min(self._phase_deadline, self._total_deadline, now + self._shortest_s))

    def _set_at(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._due, self._handle = when, self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        now = self._loop.time()
        late_s = now - self._due
        if late_s >= LATE_S and self._pauses < MAX_PAUSES and self.expired is None:
            self._pauses += 1
            self.begin_phase_anew(now)
            self._total_deadline = max(self._total_deadline + late_s, now + self._phase_s)
        self._kind, self._phase_deadline = self.current_phase()
        if now >= self._total_deadline:
            expired = ErrorKind.TOTAL_TIMEOUT
        elif now >= self._phase_deadline and self._kind is not None:
            expired = self._kind
        else:
            self._has_read = False
            self._set()
            return
        if not self._has_read:  # what stands in the socket is read first
            self._has_read = True
            self._set_at(now + READ_S)
            return
        self.expired = expired
        # Again after a while, in case the library ignored the cancellation and goes on.
        self._set_at(now + _REPEAT_CANCEL_S)
        if self._task is not None:
            self._cancels += 1
            self._task.cancel()
