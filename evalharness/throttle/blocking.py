"""What keeps everybody back from an endpoint, whatever the request: a pause, or an outage."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.throttle.circuit_breaker import Outage
from evalharness.throttle.pause import Pause


class Hold(NamedTuple):
    """Why nobody at all may go, and until when (monotonic seconds)."""

    reason: str
    until: float


class Holds:
    """The holds of one endpoint.

    Attributes:
        outage: of the endpoint; while it lasts, everybody is held until the next probe.
        pause: of the endpoint.
        told: a hold that somebody else knows of, who counts for several gates; None without one.
    """

    __slots__ = ("outage", "pause", "told")

    def __init__(self, outage: Outage) -> None:
        self.outage = outage
        self.pause = Pause()
        self.told: Hold | None = None

    def at(self, now: float) -> Hold | None:
        """What keeps everybody back at ``now`` (monotonic seconds); None: nothing does."""
        outage, pause = self.outage, self.pause
        if outage.active and (probe := outage.delay(now)) > 0 and now + probe > pause.until:
            why = f" ({outage.why})" if outage.why else ""
            return Hold(f"the endpoint serves nothing{why}; next probe", now + probe)
        if now < pause.until:
            return Hold(f"paused: {pause.reason}", pause.until)
        if self.told is not None and now >= self.told.until:
            self.told = None
        return self.told
