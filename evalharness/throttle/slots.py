"""The slots of one endpoint: a slot is a request on the wire."""

from __future__ import annotations

from evalharness.throttle.blocking import Hold, Holds
from evalharness.throttle.concurrency import Concurrency, FixedConcurrency
from evalharness.throttle.permit import Permit
from evalharness.throttle.waiters import NO_SLOT, Block


class Slots:
    """How many requests are in flight, and whether one more may be.

    Args:
        concurrency: the limit.
        holds: what keeps everybody back, and how slots come back afterwards.

    Attributes:
        in_flight: slots that are taken.
        learns: whether the limit learns from replies.
    """

    __slots__ = ("_holds", "concurrency", "in_flight", "learns")

    def __init__(self, concurrency: Concurrency, holds: Holds) -> None:
        self.concurrency = concurrency
        self.in_flight: int = 0
        self.learns = not isinstance(concurrency, FixedConcurrency)
        self._holds = holds

    def block(self, now: float) -> Block | Hold | None:
        """Why nobody can take a slot at ``now`` (monotonic seconds); None when one can."""
        return self._holds.at(now) or self.none_free(now)

    def none_free(self, now: float) -> Block | None:
        """The same where nothing keeps everybody back."""
        limit = self.concurrency.limit
        if self.in_flight >= limit:
            return NO_SLOT
        ready = self._holds.pause.slot_at(self.in_flight, limit)
        return Block("coming back after a pause", ready) if now < ready else None

    def take(self, now: float) -> int:
        """Take one; how many are taken then."""
        self.in_flight += 1
        self._holds.outage.take(now)
        return self.in_flight

    def give(self, permit: Permit, now: float) -> None:
        """Take one for a request that was admitted without."""
        permit.admitted_at, permit.in_flight = now, self.take(now)

    def take_away(self, permit: Permit) -> None:
        """Free the one of a request that is not sent yet after all."""
        self.in_flight, permit.in_flight = self.in_flight - 1, 0
