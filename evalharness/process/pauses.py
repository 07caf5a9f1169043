"""Time limits of a process that may stand still: stopped (Ctrl-Z, SIGSTOP), asleep.

What others sent meanwhile stands in sockets and pipes. When the process goes on, an event loop may
look at its timers first, and a limit that passed in between would fail what had been delivered. So
a limit is only taken as passed once the loop has read what is there, and a timer that is late by a
second or more is taken for a pause: the limit begins anew. That happens ten times at most for one
limit, so that a loop that is always late still ends its waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

LATE_S = 1.0  # no loop that runs is that late, and no pause that is shorter does harm
MAX_PAUSES = 10
READ_S = 0.01  # in which a loop reads what stands in its sockets


class TimeLimit:
    """At most so many seconds for the ``async with`` block, as :func:`asyncio.timeout`.

    Args:
        seconds: in which this process runs.

    Raises:
        TimeoutError: the block took longer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._cancelling_before = self._pauses = 0
        self._has_read = self._expired = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling_before = self._task.cancelling()
        self._wait(self._seconds)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        if self._expired and self._task is not None:
            ours_alone = self._task.uncancel() <= self._cancelling_before
            if ours_alone and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _wait(self, seconds: float) -> None:
        due = self._loop.time() + seconds
        self._handle = self._loop.call_at(due, self._on_timer, due)

    def _on_timer(self, due: float) -> None:
        if self._loop.time() - due >= LATE_S and self._pauses < MAX_PAUSES:
            self._pauses += 1
            self._has_read = False
            self._wait(self._seconds)
        elif not self._has_read:
            self._has_read = True
            self._wait(READ_S)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()


async def wait_at_most(futures: Iterable[asyncio.Future[Any]], seconds: float) -> None:
    """Wait until all are done, at most so many seconds in which this process runs."""
    pending, loop = set(futures), asyncio.get_running_loop()
    for _ in range(MAX_PAUSES):
        due = loop.time() + seconds
        _, pending = await asyncio.wait(pending, timeout=seconds)
        if not pending or loop.time() - due < LATE_S:
            break
    if pending:
        await asyncio.wait(pending, timeout=READ_S)
