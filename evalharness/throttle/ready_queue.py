"""Requests admitted beyond the limit: made durable while slots are taken, sent when one is free.

A slot is a request on the wire. If a slot were taken before the intent of its request is on disk,
fewer requests than the limit would be on the wire: less by the share of time that syncing takes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import lru_cache
from typing import Any, NamedTuple

from evalharness.throttle.blocking import EndpointBlock, EndpointBlocking
from evalharness.throttle.clock import Clock
from evalharness.throttle.permit import Permit
from evalharness.throttle.slots import Slots
from evalharness.throttle.waiters import BlockReason, LimiterClosed, RequestReturned

_SHARE = 8
_MAX_PREFETCH = 128


@lru_cache(64)
def prefetch_size(limit: int) -> int:
    """How many requests may be prepared beyond ``limit``: an eighth of it, 1 to 128.

    A process that is killed leaves so many more attempts in doubt.
    """
    return max(1, min(limit // _SHARE, _MAX_PREFETCH))


class ReadyRequest(NamedTuple):
    """A request that is ready to be sent: its permit, what wakes it, and what it will send."""

    permit: Permit
    event: asyncio.Event
    payload: Any


class ReadyQueue:
    """Admitted requests without a slot yet; slots that become free are theirs, in order.

    Args:
        slots: what they wait for.
        blocking: what blocks the whole endpoint.
        clock: where time comes from.
        enabled: whether there may be any (see :meth:`set_enabled`).

    Attributes:
        count: how many there are, those whose intent is still being written included.
        requests: those that are ready to go, in order, and what wakes them.
    """

    def __init__(
        self, slots: Slots, blocking: EndpointBlocking, clock: Clock, *, enabled: bool
    ) -> None:
        self.count = 0
        self.requests: deque[ReadyRequest] = deque()
        self._slots = slots
        self._blocking = blocking
        self._clock = clock
        self._enabled = enabled
        self._closed: LimiterClosed | None = None

    @property
    def prefetch_size(self) -> int:
        """How many there may be while all slots are taken."""
        return prefetch_size(self._slots.concurrency.limit) if self._enabled else 0

    def set_enabled(self, enabled: bool) -> None:
        """Whether there may be any from now on; where not, those there are go back."""
        self._enabled = enabled
        self.return_requests()

    def return_requests(self) -> None:
        """While none may be here, or a user holds the endpoint: let them all go back."""
        if self._is_returning():
            for request in self.requests:
                request.event.set()

    def _is_returning(self) -> bool:
        return not self._enabled or self._blocking.held is not None

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more, free slots included."""
        limit = self._slots.concurrency.limit + self.prefetch_size
        return self._slots.in_flight + self.count >= limit

    def accepts(self, now: float) -> bool:
        """Whether a request may be admitted without a slot: only a slot may be missing."""
        if not self._enabled or self._blocking.outage.active:
            return False
        limit = self._slots.concurrency.limit
        return now >= self._blocking.pause.slot_at(limit, limit)

    async def wait_for_slot(self, permit: Permit, payload: Any = None) -> None:
        """Wait for a slot: see :meth:`Permit.wait_for_slot`.

        Raises:
            LimiterClosed: nothing is sent any more.
            RequestReturned: nothing is sent now.
        """
        requests, now = self.requests, self._clock.monotonic()
        if self._closed is None and self._is_returning():
            raise RequestReturned
        if not requests and self._closed is None and self._slots.block_reason(now) is None:
            self.count -= 1
            self._slots.assign(permit, now)
            return
        event = asyncio.Event()
        requests.append(ReadyRequest(permit, event, payload))
        try:
            while not permit.transferred:
                if self._closed is not None:
                    raise LimiterClosed(self._closed.decision)
                if self._is_returning():
                    if permit.in_flight:
                        self._slots.withdraw(permit)
                        self.count += 1
                    raise RequestReturned
                if permit.in_flight and self._clock.monotonic() < self._blocking.pause.until:
                    # A pause began after the slot was assigned.
                    self._slots.withdraw(permit)
                    self.count += 1
                    requests.appendleft(ReadyRequest(permit, event, payload))
                block = self.assign_slots()
                if permit.in_flight:
                    return
                timeout = None
                if block is not None and block.until is not None:
                    timeout = block.until - self._clock.monotonic()
                event.clear()
                await self._clock.wait_for(event, timeout)
        finally:
            if not permit.in_flight:
                self._remove(permit)

    def assign_slots(self) -> BlockReason | EndpointBlock | None:
        """Give free slots to ready requests, in order; what blocks the first of those left.

        Slots are assigned here, not taken by the tasks as they wake up: when a hundred become
        free in one turn of the event loop, a hundred requests go in the next.
        """
        now = self._clock.monotonic()
        while self.requests:
            block = self._slots.block_reason(now)
            if block is not None:
                if block.until is not None:
                    self.requests[0].event.set()  # its task sets a timer for that
                return block
            self._assign_first(now)
        return None

    def transfer_first(self) -> Any:
        """Give the first request a slot and take over its payload; None where none may go."""
        now = self._clock.monotonic()
        if self._closed is not None or self._slots.block_reason(now) is not None:
            return None
        first = self.requests[0]
        if first.payload is not None:
            first.permit.transferred = True
            self._assign_first(now)
        return first.payload

    def close(self, closed: LimiterClosed) -> None:
        """Let no request go any more."""
        self._closed = closed
        for request in self.requests:
            request.event.set()

    def _assign_first(self, now: float) -> None:
        first = self.requests.popleft()
        self.count -= 1
        self._slots.assign(first.permit, now)
        first.event.set()

    def _remove(self, permit: Permit) -> None:
        """Remove a request that gave up waiting; nothing happens where it is not in the queue."""
        request = next((r for r in self.requests if r.permit is permit), None)
        if request is not None:
            self.requests.remove(request)
