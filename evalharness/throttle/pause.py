"""A pause of a whole endpoint, and how its slots come back afterwards."""

from __future__ import annotations

import math


class Pause:
    """Nobody sends before :attr:`until`; after it the slots come back one by one.

    They come back over as long as the pause was, at most 10 s: a server that has just asked for
    a pause does not get all requests at once.

    Attributes:
        until: monotonic seconds; −inf before the first pause.
        reason: of the pause that holds or held last.
    """

    RAMP_S = 10.0

    def __init__(self) -> None:
        self.until = -math.inf
        self.reason = ""
        self._ramp_s = 0.0

    def begin(self, now: float, seconds: float, reason: str) -> None:
        """Pause for ``seconds`` from ``now``; a longer pause that holds already stays."""
        if now + seconds > self.until:
            self.until = now + seconds
            self._ramp_s = min(self.RAMP_S, seconds)
            self.reason = reason

    def ramp(self, now: float) -> None:
        """Let the slots come back one by one from ``now``, as after a long pause."""
        self.until = max(self.until, now)
        self._ramp_s = self.RAMP_S

    def slot_at(self, in_flight: int, limit: int) -> float:
        """When one more than ``in_flight`` requests may be sent: one at once, all at the end."""
        return self.until + self._ramp_s * in_flight / limit
