"""Requests admitted beyond the limit: made durable while all slots are taken, sent as one is free.

A slot is a request on the wire. Were it taken before the request's intent is on disk, the server
would see fewer requests at a time than were asked for, by the share that syncing has of a cycle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import lru_cache
from typing import Any, NamedTuple

from evalharness.throttle.blocking import Hold, Holds
from evalharness.throttle.clock import Clock
from evalharness.throttle.permit import Permit
from evalharness.throttle.slots import Slots
from evalharness.throttle.waiters import Block, Stopped

_SHARE = 8
_MOST = 128


@lru_cache(64)
def beyond(limit: int) -> int:
    """How many requests may be prepared beyond ``limit``: an eighth of it, 1 to 128.

    A process that is killed leaves so many more attempts in doubt.
    """
    return max(1, min(limit // _SHARE, _MOST))


class Entry(NamedTuple):
    """One that stands ready: its permit, what wakes it, and what it is going to send."""

    permit: Permit
    event: asyncio.Event
    cargo: Any


class Prepared:
    """Those without a slot yet; slots that become free are theirs, in order.

    Args:
        slots: what they wait for.
        holds: what keeps everybody back.
        clock: where time comes from.
        allowed: whether there may be any.

    Attributes:
        count: how many there are, those whose intent is still being written included.
        line: those that are ready to go, in order, and what wakes them.
    """

    def __init__(self, slots: Slots, holds: Holds, clock: Clock, *, allowed: bool) -> None:
        self.count = 0
        self.line: deque[Entry] = deque()
        self._slots = slots
        self._holds = holds
        self._clock = clock
        self._allowed = allowed
        self._stopped: Stopped | None = None

    @property
    def spare(self) -> int:
        """How many there may be while all slots are taken."""
        return beyond(self._slots.concurrency.limit) if self._allowed else 0

    @property
    def full(self) -> bool:
        """Whether there is no place for one more, slots that are free included."""
        most = self._slots.concurrency.limit + self.spare
        return self._slots.in_flight + self.count >= most

    def may_join(self, now: float) -> bool:
        """Whether a slot is all that a request may have to wait for."""
        if not self._allowed or self._holds.outage.active:
            return False
        limit = self._slots.concurrency.limit
        return now >= self._holds.pause.slot_at(limit, limit)

    async def stand_ready(self, permit: Permit, cargo: Any = None) -> None:
        """Wait for a slot: see :meth:`Permit.slot`."""
        line, now = self.line, self._clock.monotonic()
        if not line and self._stopped is None and self._slots.block(now) is None:
            self.count -= 1
            self._slots.give(permit, now)
            return
        event = asyncio.Event()
        line.append(Entry(permit, event, cargo))
        try:
            while not permit.carried:
                if self._stopped is not None:
                    raise Stopped(self._stopped.decision)
                if permit.in_flight and self._clock.monotonic() < self._holds.pause.until:
                    # A pause began between the handing out and now.
                    self._slots.take_away(permit)
                    self.count += 1
                    line.appendleft(Entry(permit, event, cargo))
                block = self.hand_out()
                if permit.in_flight:
                    return
                timeout = None
                if block is not None and block.until is not None:
                    timeout = block.until - self._clock.monotonic()
                event.clear()
                await self._clock.wait_for(event, timeout)
        finally:
            if not permit.in_flight:
                self._forget(permit)

    def hand_out(self) -> Block | Hold | None:
        """Let those go that stand ready, in order; what keeps the first of the others back.

        Slots are handed over here, not taken by whoever wakes up: when a hundred become free in
        one round of the event loop, a hundred go in the next.
        """
        now = self._clock.monotonic()
        while self.line:
            block = self._slots.block(now)
            if block is not None:
                if block.until is not None:
                    self.line[0].event.set()  # it sets itself a timer
                return block
            self._hand_out_first(now)
        return None

    def carry_first(self) -> Any:
        """Let the first go, and take over what it has ready; None where nothing goes."""
        now = self._clock.monotonic()
        if self._stopped is not None or self._slots.block(now) is not None:
            return None
        first = self.line[0]
        if first.cargo is not None:
            first.permit.carried = True
            self._hand_out_first(now)
        return first.cargo

    def close(self, stopped: Stopped) -> None:
        """Let nobody go any more."""
        self._stopped = stopped
        for entry in self.line:
            entry.event.set()

    def _hand_out_first(self, now: float) -> None:
        first = self.line.popleft()
        self.count -= 1
        self._slots.give(first.permit, now)
        first.event.set()

    def _forget(self, permit: Permit) -> None:
        """Take one out that gave up waiting; no harm where it is not in line."""
        found = next((entry for entry in self.line if entry.permit is permit), None)
        if found is not None:
            self.line.remove(found)
