"""Those who stand before a gate: what they wait for, and what may come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from evalharness.throttle.blocking import Hold
from evalharness.throttle.retry import Decision


class Stopped(Exception):  # noqa: N818 - not an error: the run is being drained
    """The gate is closed; nothing new is sent.

    Attributes:
        decision: why; None when the caller closed it.
    """

    def __init__(self, decision: Decision | None = None) -> None:
        super().__init__(decision.reason if decision is not None else "the gate is closed")
        self.decision = decision


class Held(Exception):  # noqa: N818 - nothing went wrong: the caller may do something else
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
    def of(cls, block: Block | Hold, now: float, waiters: int) -> WaitState:
        """What ``waiters`` requests wait for at ``now`` (monotonic seconds)."""
        left = None if block.until is None else max(0.0, block.until - now)
        return cls(block.reason, block.until, left, waiters)


class Block(NamedTuple):
    """Why one request cannot go now, and until when (None: until a reply ends it)."""

    reason: str
    until: float | None


NO_SLOT = Block("a free slot", None)
NO_MONEY = Block("room under limits.max_cost_usd", None)


class Waiter:
    """One request (arguments as of :meth:`~evalharness.throttle.limiter.Gate.admit`).

    Attributes:
        short: whether what is needed beside the endpoint was missing when last asked for.
        joins: whether it may go without a slot (see :class:`~.ready_queue.Prepared`), as last seen.
    """

    __slots__ = ("_event", "_take", "early", "joins", "patient", "short", "tokens")

    def __init__(
        self, tokens: int, take: Callable[[], bool] | None, *, patient: bool, early: bool
    ) -> None:
        self.tokens = tokens
        self.patient = patient
        self.early = early
        self._event: asyncio.Event | None = None
        self.short = self.joins = False
        self._take = take

    @property
    def event(self) -> asyncio.Event:
        """Wakes it while it stands in the queue; most requests never do."""
        if self._event is None:
            self._event = asyncio.Event()
        return self._event

    def takes(self) -> bool:
        """Take what is needed beside the endpoint, if it is there."""
        self.short = self._take is not None and not self._take()
        return not self.short


class SentBefore(NamedTuple):
    """A request that an earlier process let go.

    Attributes:
        at_ns: when, nanoseconds since the Unix epoch.
        tokens: what it counts against a token limit.
    """

    at_ns: int
    tokens: int
