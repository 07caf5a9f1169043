"""Waiting is visible: what requests wait for, and how long still."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from evalharness.throttle.limiter import Gate

_MOST_SHOWN = 160  # characters of a reason, which may hold words of the server


class Wait(NamedTuple):
    """What is waited for; ``left_s`` is how many seconds still, None where a reply ends it."""

    reason: str
    left_s: float | None = None


class Backoffs:
    """Workers that sleep until the trial they hold is due for another try."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, str]] = {}

    def begin(self, worker: int, due: float, reason: str) -> None:
        """A worker sleeps until ``due`` (monotonic seconds)."""
        self._due[worker] = due, reason

    def end(self, worker: int) -> None:
        """It woke up."""
        del self._due[worker]

    def wait(self, now: float) -> Wait | None:
        """What the one due first waits for."""
        if not self._due:
            return None
        due, reason = min(self._due.values())
        many = len(self._due)
        trials = "a trial" if many == 1 else f"{many} trials"
        return Wait(f"waiting to try {trials} again: {reason}", max(0.0, due - now))


def waiting_for(gates: Iterable[Gate], backoffs: Backoffs, now: float) -> Wait | None:
    """What holds requests up; None when nothing does.

    Several endpoints are told together, with the time of the one that waits longest. That a slot
    becomes free is what work always waits for, and is not told.
    """
    found = [wait for gate in gates if (wait := _at(gate))] or [
        wait for wait in (backoffs.wait(now),) if wait is not None
    ]
    if not found:
        return None
    left = [wait.left_s for wait in found if wait.left_s is not None]
    return Wait("; ".join(wait.reason for wait in found), max(left, default=None))


def _at(gate: Gate) -> Wait | None:
    state = gate.waiting()
    if state is None or state.reason == "a free slot":
        return None
    return Wait(f"waiting for {gate.name}: {state.reason[:_MOST_SHOWN]}", state.seconds_left)
