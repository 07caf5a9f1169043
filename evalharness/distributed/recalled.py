"""What went before at an endpoint, for the coordinator's desk."""

from __future__ import annotations

from collections.abc import Iterable

from evalharness.distributed.desk import Desk
from evalharness.distributed.messages import Memory, Reach
from evalharness.throttle.line import SentBefore


class Recalled:
    """Keeps what :func:`~evalharness.runner.before.recall` finds."""

    def __init__(self, reach: Reach) -> None:
        self.memory_s = Desk(reach.limits, reach.profile, 0.0).memory_s
        self._memory = Memory()

    def recall(self, sent: Iterable[SentBefore]) -> None:
        """Keep them."""
        self._memory = self._memory._replace(sent=list(sent))

    def reached(self) -> None:
        """Workers take every address for right: another of them may have been answered."""

    def probe_first(self) -> None:
        """Keep that."""
        self._memory = self._memory._replace(probe_first=True)

    def pause(self, seconds: float, reason: str) -> None:
        """Keep it."""
        self._memory = self._memory._replace(pause=(seconds, reason))

    def all(self) -> Memory:
        """What was kept."""
        return self._memory
