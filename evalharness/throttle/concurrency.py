"""The limit on requests in flight: fixed, or learned from the server's 429s.

Latency is no signal here: it follows the length of the answer, not congestion. The scheme and its
numbers follow inspect_ai's adaptive connections.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple, Protocol

from evalharness.config.models import LimitsConfig
from evalharness.records import ErrorKind, Outcome, Reply

_ADAPTIVE_START = 20


class Signal(StrEnum):
    """What one reply says about the load the server can take."""

    CLEAN = "clean"
    THROTTLED = "throttled"  # 429: too much
    TRANSIENT = "transient"  # trouble that this load need not have caused: no growth for now
    NEUTRAL = "neutral"  # nothing either way: a bad request, say


_NEUTRAL = frozenset(
    {
        ErrorKind.BAD_URL,
        ErrorKind.BAD_REQUEST,
        ErrorKind.UNAUTHORIZED,
        ErrorKind.OUT_OF_CREDIT,
        ErrorKind.FORBIDDEN,
        ErrorKind.NOT_FOUND,
        ErrorKind.CONTENT_FILTER,
        ErrorKind.REDIRECT,
        ErrorKind.HTTP_OTHER,
        ErrorKind.TOO_LARGE,
        ErrorKind.INTERRUPTED,
    }
)


def signal_of(reply: Reply) -> Signal:
    """The signal in a reply."""
    if reply.outcome is Outcome.DELIVERED:
        return Signal.CLEAN
    if reply.error_kind in (ErrorKind.RATE_LIMITED, ErrorKind.QUOTA):
        return Signal.THROTTLED
    return Signal.NEUTRAL if reply.error_kind in _NEUTRAL else Signal.TRANSIENT


class LimitChange(NamedTuple):
    """The limit from ``at`` (monotonic seconds) on, and why."""

    at: float
    limit: int
    reason: str


class LimitRecord(NamedTuple):
    """The same by wall clock, nanoseconds since the Unix epoch: what a manifest keeps."""

    at_ns: int
    limit: int
    reason: str


class LimitHistory:
    """All limits so far, oldest first; of very many only the first and the last are kept.

    Attributes:
        omitted: how many changes between those were dropped.
    """

    FIRST = 20
    LAST = 180

    def __init__(self, start: LimitChange) -> None:
        self._first = [start]
        self._last = deque[LimitChange](maxlen=self.LAST)
        self.omitted = 0

    def add(self, change: LimitChange) -> None:
        """Add a change."""
        if len(self._first) < self.FIRST:
            self._first.append(change)
            return
        self.omitted += len(self._last) == self.LAST
        self._last.append(change)

    def __iter__(self) -> Iterator[LimitChange]:
        yield from self._first
        yield from self._last

    def records(self, epoch_ns: int) -> list[LimitRecord]:
        """The same by wall clock, where the clock's origin is ``epoch_ns`` (Unix nanoseconds)."""
        return [LimitRecord(epoch_ns + round(c.at * 1e9), c.limit, c.reason) for c in self]


class Concurrency(Protocol):
    """A limit on requests in flight that may learn from replies."""

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, at least 1."""
        ...

    @property
    def history(self) -> LimitHistory:
        """All limits so far, oldest first, in bounded memory."""
        ...

    def observe(self, signal: Signal, now: float, in_use: int, sent_at: float) -> None:
        """Learn from a reply that came at ``now``.

        Args:
            signal: what it says.
            now: monotonic seconds.
            in_use: requests in flight when it came, itself included.
            sent_at: when its request was sent, monotonic seconds.
        """
        ...

    def set_most(self, most: int, now: float, reason: str) -> None:
        """The user allows ``most`` requests in flight, at least 1, from ``now`` on."""
        ...


class FixedConcurrency:
    """Always the same limit: for measurements, and the default."""

    def __init__(self, limit: int, now: float = 0.0) -> None:
        self.limit = limit
        self.history = LimitHistory(LimitChange(now, limit, "fixed"))

    def observe(self, signal: Signal, now: float, in_use: int, sent_at: float) -> None:
        """Change nothing."""

    def set_most(self, most: int, now: float, reason: str) -> None:
        """That is the limit."""
        if most != self.limit:
            self.limit = most
            self.history.add(LimitChange(now, most, reason))


class AdaptiveConcurrency:
    """Slow start, then small steps up and larger cuts down, each a share of the limit.

    The limit doubles with every clean round (as many clean replies as the limit) until the first
    429; from then on a 429 cuts it to 0.8 of itself, once in 15 s and never for a request sent
    before the last cut, and a clean round adds 5 %. It grows only when at least 80 % of it was
    in use during the round, and not within 15 s of a cut. Other trouble makes the round start
    over: growth pauses, nothing is cut.

    Args:
        start: first limit.
        lowest: never below this, at least 1.
        highest: never above this.
        now: monotonic seconds at the start, for the history.
    """

    EPISODE_S = 15.0
    CUT = 0.8
    GROWTH = 1.05
    IN_USE = 0.8

    def __init__(self, start: int, lowest: int, highest: int, now: float = 0.0) -> None:
        if not 1 <= lowest <= start <= highest:
            raise ValueError(f"need 1 ≤ lowest ≤ start ≤ highest, got {lowest}, {start}, {highest}")
        self.limit = start
        self.history = LimitHistory(LimitChange(now, start, "start"))
        self._lowest = lowest
        self._highest = highest
        self._slow_start = True
        self._cut_at = -math.inf
        self._clean = 0
        self._peak = 0

    def observe(self, signal: Signal, now: float, in_use: int, sent_at: float) -> None:
        """See :meth:`Concurrency.feed`."""
        self._peak = max(self._peak, in_use)
        if signal is Signal.CLEAN:
            self._clean += 1
            if self._clean >= self.limit:
                self._end_of_round(now)
        elif signal is Signal.TRANSIENT:
            self._clean = self._peak = 0
        elif signal is Signal.THROTTLED:
            self._slow_start = False
            self._clean = self._peak = 0
            if now - self._cut_at >= self.EPISODE_S and sent_at >= self._cut_at:
                self._cut_at = now
                self._set(now, math.floor(self.limit * self.CUT), "429")

    def set_most(self, most: int, now: float, reason: str) -> None:
        """Never above that; where the limit is higher, it falls to it."""
        self._highest = most
        self._lowest = min(self._lowest, most)
        if self.limit > most:
            self._set(now, most, reason)

    def _end_of_round(self, now: float) -> None:
        used = self._peak >= self.IN_USE * self.limit
        self._clean = self._peak = 0
        if not used or now - self._cut_at < self.EPISODE_S:
            return
        if self._slow_start:
            self._set(now, self.limit * 2, "slow start")
        else:
            self._set(now, math.ceil(self.limit * self.GROWTH), "clean round")

    def _set(self, now: float, limit: int, reason: str) -> None:
        limit = min(max(limit, self._lowest), self._highest)
        if limit != self.limit:
            self.limit = limit
            self.history.add(LimitChange(now, limit, reason))


def make_concurrency(limits: LimitsConfig, now: float) -> Concurrency:
    """The limit that the configuration asks for, at ``now`` (monotonic seconds)."""
    if limits.adaptive:
        start = min(_ADAPTIVE_START, limits.concurrency)
        return AdaptiveConcurrency(start, 1, limits.concurrency, now)
    return FixedConcurrency(limits.concurrency, now)
