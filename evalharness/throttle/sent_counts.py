"""How many requests were sent lately: what a rate limit that is set later has to count."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

_STEP_S = 0.5
_STEPS = 256  # over two minutes; of what is older only the newest request could matter


class SentCounts:
    """Requests in steps of half a second, the newest two minutes of them."""

    __slots__ = ("_first_at", "_steps")

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque(maxlen=_STEPS)  # its last request, how many
        self._first_at = 0.0

    def add(self, now: float) -> None:
        """Count one request sent at ``now``, monotonic seconds that never go back."""
        if self._steps and now - self._first_at < _STEP_S:
            self._steps[-1] = now, self._steps[-1][1] + 1
        else:
            self._first_at = now
            self._steps.append((now, 1))

    def restore(self, moments: Iterable[float], now: float) -> None:
        """Count what an earlier process sent; call it before :meth:`add`.

        Args:
            moments: in any order; one in the future counts as ``now``.
            now: monotonic seconds.
        """
        first = now - _STEP_S * _STEPS
        for at in sorted(min(now, at) for at in moments if at > first):
            self.add(at)

    def moments(self) -> Iterator[float]:
        """When they were sent, ascending; each at most half a second later than it was."""
        for at, count in self._steps:
            for _ in range(count):
                yield at
