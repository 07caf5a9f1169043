"""What requests wait for, and how long still, for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from evalharness.throttle.limiter import EndpointLimiter

_MAX_REASON_CHARS = 160  # of a reason, which may contain text of the server


class WaitStatus(NamedTuple):
    """What is waited for; ``left_s`` is the seconds left, None where a reply ends it."""

    reason: str
    left_s: float | None = None


class BackoffWaits:
    """Workers that sleep until the trial they hold is due for another try."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, str]] = {}

    def begin(self, worker: int, due: float, reason: str) -> None:
        """A worker sleeps until ``due`` (monotonic seconds)."""
        self._due[worker] = due, reason

    def end(self, worker: int) -> None:
        """The worker goes on."""
        del self._due[worker]

    def wait(self, now: float) -> WaitStatus | None:
        """What the worker that is due first waits for."""
        if not self._due:
            return None
        due, reason = min(self._due.values())
        count = len(self._due)
        trials = "a trial" if count == 1 else f"{count} trials"
        return WaitStatus(f"waiting to try {trials} again: {reason}", max(0.0, due - now))


def wait_status(
    limiters: Iterable[EndpointLimiter], backoffs: BackoffWaits, now: float
) -> WaitStatus | None:
    """Why requests are waiting; None when they are not.

    Several endpoints are named together, with the time of the one that waits longest. Waiting for
    a free slot is normal and not shown.
    """
    waits = [wait for limiter in limiters if (wait := _limiter_wait(limiter))] or [
        wait for wait in (backoffs.wait(now),) if wait is not None
    ]
    if not waits:
        return None
    seconds_left = [wait.left_s for wait in waits if wait.left_s is not None]
    return WaitStatus("; ".join(wait.reason for wait in waits), max(seconds_left, default=None))


def _limiter_wait(limiter: EndpointLimiter) -> WaitStatus | None:
    state = limiter.wait_state()
    if state is None or state.reason == "a free slot":
        return None
    return WaitStatus(
        f"waiting for {limiter.name}: {state.reason[:_MAX_REASON_CHARS]}", state.seconds_left
    )
