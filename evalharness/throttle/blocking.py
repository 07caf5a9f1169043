"""What blocks an endpoint for every request: a user's hold, a pause, or an outage."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.throttle.circuit_breaker import Outage
from evalharness.throttle.pause import Pause

# A hold has no end that is known: those who wait look again after so long, in seconds.
_HOLD_CHECK_S = 1.0


class EndpointBlock(NamedTuple):
    """Why no request at all may go, and until when (monotonic seconds)."""

    reason: str
    until: float


class EndpointBlocking:
    """Everything that may block one endpoint.

    Attributes:
        outage: of the endpoint; while it lasts, all wait until the next probe.
        pause: of the endpoint.
        held: why the user lets nothing go (see :meth:`.limiter.EndpointLimiter.hold`); None where
            requests go.
        shared_block: a block that the process which counts for several limiters reported; None
            without one.
    """

    __slots__ = ("held", "outage", "pause", "shared_block")

    def __init__(self, outage: Outage) -> None:
        self.outage = outage
        self.pause = Pause()
        self.held: str | None = None
        self.shared_block: EndpointBlock | None = None

    def at(self, now: float) -> EndpointBlock | None:
        """The block that holds at ``now`` (monotonic seconds); None without one."""
        if self.held is not None:
            return EndpointBlock(self.held, now + _HOLD_CHECK_S)
        outage, pause = self.outage, self.pause
        if outage.active and (probe := outage.delay(now)) > 0 and now + probe > pause.until:
            why = f" ({outage.reason})" if outage.reason else ""
            return EndpointBlock(f"the endpoint serves nothing{why}; next probe", now + probe)
        if now < pause.until:
            return EndpointBlock(f"paused: {pause.reason}", pause.until)
        if self.shared_block is not None and now >= self.shared_block.until:
            self.shared_block = None
        return self.shared_block
