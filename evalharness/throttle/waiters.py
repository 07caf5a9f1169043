"""The requests that wait at a limiter: what they wait for, and the exceptions that end it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from evalharness.throttle.blocking import EndpointBlock
from evalharness.throttle.retry_policy import Decision


class LimiterClosed(Exception):  # noqa: N818 - not an error: the run is being drained
    """The limiter is closed; nothing new is sent.

    Attributes:
        decision: why; None when the caller closed it.
    """

    def __init__(self, decision: Decision | None = None) -> None:
        super().__init__(decision.reason if decision is not None else "the limiter is closed")
        self.decision = decision


class RequestReturned(Exception):  # noqa: N818 - nothing went wrong: it is sent later
    """A request that was admitted is not sent now; its intent is to be recorded as not sent."""


class EndpointPaused(Exception):  # noqa: N818 - nothing went wrong: the caller may do something else
    """The endpoint admits nobody for a while.

    Attributes:
        seconds: how long, at least.
        reason: in a few words.
    """

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.reason = reason


class WaitState(NamedTuple):
    """What the head of the queue waits for.

    Attributes:
        reason: in a few words.
        until: clock time (monotonic seconds) at which that ends; None when a reply ends it.
        seconds_left: how long that is from now; None with ``until``.
        waiters: how many requests stand in the queue.
    """

    reason: str
    until: float | None
    seconds_left: float | None
    waiters: int

    @classmethod
    def of(cls, block: BlockReason | EndpointBlock, now: float, waiters: int) -> WaitState:
        """What ``waiters`` requests wait for at ``now`` (monotonic seconds)."""
        left = None if block.until is None else max(0.0, block.until - now)
        return cls(block.reason, block.until, left, waiters)


class BlockReason(NamedTuple):
    """Why one request cannot go now, and until when (None: until a reply ends it)."""

    reason: str
    until: float | None


NO_SLOT = BlockReason("a free slot", None)
NO_BUDGET = BlockReason("room under limits.max_cost_usd", None)


class Waiter:
    """One request (arguments as of :meth:`~evalharness.throttle.limiter.EndpointLimiter.admit`).

    Attributes:
        lacks_budget: whether ``reserve`` failed when it was last called.
        without_slot: whether it may be admitted without a slot (see
            :class:`~.ready_queue.ReadyQueue`), as of the last check.
    """

    __slots__ = (
        "_event",
        "_reserve",
        "early",
        "lacks_budget",
        "patient",
        "tokens",
        "without_slot",
    )

    def __init__(
        self, tokens: int, reserve: Callable[[], bool] | None, *, patient: bool, early: bool
    ) -> None:
        self.tokens = tokens
        self.patient = patient
        self.early = early
        self._event: asyncio.Event | None = None
        self.lacks_budget = self.without_slot = False
        self._reserve = reserve

    @property
    def event(self) -> asyncio.Event:
        """Wakes it while it stands in the queue; most requests never do."""
        if self._event is None:
            self._event = asyncio.Event()
        return self._event

    def reserve(self) -> bool:
        """Reserve what is needed besides the endpoint (money); whether that succeeded."""
        self.lacks_budget = self._reserve is not None and not self._reserve()
        return not self.lacks_budget


class EarlierRequest(NamedTuple):
    """A request that an earlier process sent.

    Attributes:
        at_ns: when, nanoseconds since the Unix epoch.
        tokens: what it counts against a token limit.
    """

    at_ns: int
    tokens: int
