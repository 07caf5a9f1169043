"""The slots of one endpoint: a slot is a request on the wire."""

from __future__ import annotations

from evalharness.throttle.blocking import EndpointBlock, EndpointBlocking
from evalharness.throttle.concurrency import Concurrency, FixedConcurrency
from evalharness.throttle.permit import Permit
from evalharness.throttle.sent_counts import SentCounts
from evalharness.throttle.waiters import NO_SLOT, BlockReason


class Slots:
    """How many requests are in flight, and whether one more may be.

    Args:
        concurrency: the limit.
        blocking: what blocks the whole endpoint, and how slots come back afterwards.

    Attributes:
        in_flight: slots that are taken.
        adaptive: whether the limit learns from replies.
        sent: how many were taken lately, for a rate limit that is set while the run goes on.
    """

    __slots__ = ("_blocking", "adaptive", "concurrency", "in_flight", "sent")

    def __init__(self, concurrency: Concurrency, blocking: EndpointBlocking) -> None:
        self.concurrency = concurrency
        self.in_flight: int = 0
        self.adaptive = not isinstance(concurrency, FixedConcurrency)
        self.sent = SentCounts()
        self._blocking = blocking

    def block_reason(self, now: float) -> BlockReason | EndpointBlock | None:
        """Why nobody can take a slot at ``now`` (monotonic seconds); None when one can."""
        return self._blocking.at(now) or self.no_free_slot(now)

    def no_free_slot(self, now: float) -> BlockReason | None:
        """The same for an endpoint that is not blocked as a whole."""
        limit = self.concurrency.limit
        if self.in_flight >= limit:
            return NO_SLOT
        ready = self._blocking.pause.slot_at(self.in_flight, limit)
        return BlockReason("coming back after a pause", ready) if now < ready else None

    def take(self, now: float) -> int:
        """Take one; how many are taken then."""
        self.in_flight += 1
        self.sent.add(now)
        self._blocking.outage.record_request(now)
        return self.in_flight

    def assign(self, permit: Permit, now: float) -> None:
        """Take one for a request that was admitted without."""
        permit.admitted_at, permit.in_flight = now, self.take(now)

    def withdraw(self, permit: Permit) -> None:
        """Free the slot of a request that was not sent yet."""
        self.in_flight, permit.in_flight = self.in_flight - 1, 0
