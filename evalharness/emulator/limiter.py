"""Requests and tokens per window: strict, sliding, and counted at the moment of arrival."""

from __future__ import annotations

from collections import deque

import msgspec


class LimitRefusal(msgspec.Struct, frozen=True):
    """The limit that refuses a request, and the seconds until it would admit it."""

    limit: str  # "requests", "tokens" or "burst"
    retry_after_s: float


class LimitState(msgspec.Struct, frozen=True):
    """How much of a limit is left, and the seconds until all of it is."""

    limit: str  # "requests" or "tokens"
    maximum: int
    remaining: int
    reset_s: float


class _Window:
    """At most ``maximum`` units in any window of ``length_s`` seconds."""

    def __init__(self, maximum: float, length_s: float, limit: str) -> None:
        self.maximum = maximum
        self.limit = limit
        self._length_s = length_s
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def wait_s(self, now: float, units: int) -> float:
        """Seconds until ``units`` more fit; 0 when they do now."""
        self._forget(now)
        if self._sum + units <= self.maximum:
            return 0.0
        over = self._sum + units - self.maximum
        for at, amount in self._spent:
            over -= amount
            if over <= 0:
                # Rounding may make the wait 0 a moment too early, and 0 would admit the request.
                return min(max(at + self._length_s - now, 1e-9), self._length_s)
        return self._length_s  # more than a whole window allows

    def state(self, now: float) -> LimitState:
        """What is left of it."""
        self._forget(now)
        reset_s = max(0.0, self._spent[-1][0] + self._length_s - now) if self._spent else 0.0
        left = max(0, int(self.maximum - self._sum))
        return LimitState(self.limit, int(self.maximum), left, reset_s)

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0][0] <= now - self._length_s:
            self._sum -= self._spent.popleft()[1]

    def spend(self, now: float, units: int) -> None:
        self._spent.append((now, units))
        self._sum += units


class SlidingWindowLimiter:
    """RPM and TPM, and with ``per_second_caps`` a second's share of each, second by second.

    The window is ``window_s`` long; refused requests spend nothing. Time is given, in seconds on
    any clock that never goes back.
    """

    def __init__(
        self,
        rpm: int | None,
        tpm: int | None,
        window_s: float = 60.0,
        *,
        per_second_caps: bool = False,
    ) -> None:
        self._requests: list[_Window] = []
        self._tokens: list[_Window] = []
        for windows, maximum, limit in (
            (self._requests, rpm, "requests"),
            (self._tokens, tpm, "tokens"),
        ):
            if maximum is None:
                continue
            windows.append(_Window(maximum, window_s, limit))
            if per_second_caps:
                windows.append(_Window(max(1.0, maximum / window_s), 1.0, "burst"))

    @property
    def active(self) -> bool:
        """Whether anything is limited at all."""
        return bool(self._requests or self._tokens)

    def states(self, now: float) -> list[LimitState]:
        """What is left of the limits of a whole window."""
        windows = (*self._requests, *self._tokens)
        return [window.state(now) for window in windows if window.limit != "burst"]

    def admit(self, now: float, tokens: int) -> LimitRefusal | None:
        """Let a request of so many tokens through and count it, or say why not."""
        checks = [(w, 1) for w in self._requests] + [(w, tokens) for w in self._tokens]
        for window, units in checks:
            wait_s = window.wait_s(now, units)
            if wait_s > 0:
                return LimitRefusal(window.limit, wait_s)
        for window, units in checks:
            window.spend(now, units)
        return None
