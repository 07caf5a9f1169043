"""Limiters of requests and tokens per minute.

Both limits hold over *every* window of 60 s, not only over calendar minutes, counted at the moment
a request is sent. A request reaches the server a little later, and the delay varies; the windows
used here are therefore longer than a minute by the jitter they must absorb.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

WINDOW_S = 60.0
REQUEST_JITTER_S = 1.0
TOKEN_JITTER_S = 0.25
# A timer may fire a few ulp before its deadline in floating point; the jitter covers it.
_EPSILON_S = 1e-9


class _Gcra:
    """GCRA: ``limit`` requests in any ``window_s``, at most ``burst`` of them at once.

    With emission interval T and burst b a closed window of length W can hold floor(W/T + b)
    requests (ITU-T I.371 calls (b−1)·T the tolerance). T = W / (limit + 1 − b) keeps that sum at
    ``limit``, since ``window_s`` is a little longer than the window that is promised.
    """

    __slots__ = ("_due", "interval_s", "tolerance_s")

    def __init__(self, limit: int, window_s: float, burst: float) -> None:
        self.interval_s = window_s / (limit + 1 - burst)
        self.tolerance_s = (burst - 1) * self.interval_s
        self._due = -math.inf

    def ready_at(self) -> float:
        return self._due - self.tolerance_s

    def take(self, now: float) -> None:
        self._due = max(self._due, now) + self.interval_s

    def cap_debt(self, until: float) -> None:
        self._due = min(self._due, until + self.tolerance_s)


class RequestLimiter:
    """Requests per minute, spread evenly with a burst of at most one second's worth.

    In any closed window of 60 s at most ``floor(rpm)`` requests are sent; for ``rpm`` below 1
    it is one in any 60/rpm seconds. With enough work at least 96 % of that is used (for the
    default burst). GCRA rather than a log of the last minute: it needs two numbers.

    Args:
        rpm: requests per minute, above 0.
        burst_s: seconds' worth of requests that may go at once, never less than one request.
        per_second_caps: also hold ``floor(rpm/60)`` (at least 1) in any second, as providers do
            that answer bursts with "rate increased too quickly".
    """

    def __init__(self, rpm: float, burst_s: float = 1.0, per_second_caps: bool = False) -> None:
        if not (rpm > 0 and math.isfinite(rpm)):
            raise ValueError(f"rpm must be a positive number, got {rpm!r}")
        limit = max(1, math.floor(rpm))
        stretch = max(1.0, 1.0 / rpm) * (WINDOW_S + REQUEST_JITTER_S) / WINDOW_S
        self._window_s = WINDOW_S * stretch
        burst = min(max(1.0, limit * burst_s / WINDOW_S), limit)
        self._limits = [_Gcra(limit, WINDOW_S * stretch, burst)]
        if per_second_caps and rpm >= WINDOW_S:
            # 20 ms of tolerance, so that a timer that fires late costs no throughput.
            per_second = math.floor(rpm / WINDOW_S)
            self._limits.append(_Gcra(per_second, 1.01, 1.0 + 0.02 * per_second))
        elif per_second_caps:
            self._limits = [_Gcra(limit, WINDOW_S * stretch, 1.0)]

    @property
    def window_s(self) -> float:
        """How long a request counts, in seconds."""
        return self._window_s

    def delay(self, now: float) -> float:
        """Seconds from ``now`` (monotonic) until a request may go; 0.0 when it may go now."""
        wait = max(limit.ready_at() for limit in self._limits) - now
        return wait if wait > _EPSILON_S else 0.0

    def take(self, now: float) -> None:
        """Count a request sent at ``now``. Call it only where :meth:`delay` was 0."""
        for limit in self._limits:
            limit.take(now)

    def restore(self, sent_at: Sequence[float], now: float) -> None:
        """Count requests that an earlier process sent.

        Args:
            sent_at: when, in monotonic seconds of this process (so most are below 0 or long past),
                ascending.
            now: monotonic seconds. Requests sent under a higher limit may mean a longer wait than
                any window needs: it ends one window from now at the latest.
        """
        for limit in self._limits:
            for at in sent_at:
                limit.take(at)
            limit.cap_debt(now + self._window_s)


class _Cell:
    """Tokens charged within one short span; they stop counting one window after ``last``."""

    __slots__ = ("alive", "first", "last", "tokens")

    def __init__(self, now: float, tokens: int) -> None:
        self.first = self.last = now
        self.tokens = tokens
        self.alive = True


class Reservation:
    """Tokens reserved for one request, until :meth:`TokenLimiter.settle`."""

    __slots__ = ("cell", "settled", "tokens")

    def __init__(self, cell: _Cell, tokens: int) -> None:
        self.cell = cell
        self.tokens = tokens
        self.settled = False


class TokenLimiter:
    """Tokens per minute: reserve an estimate when a request goes, settle on what it really used.

    The tokens of the requests sent in any 60 s, as known when the last of them went, never exceed
    ``tpm``; they are paced, with at most five seconds' worth ahead of time. A request that used
    more than its estimate puts the limiter into debt, which later requests wait out. One larger
    than ``tpm`` is admitted alone, when nothing is outstanding, and is then paid for at the same
    pace. Use is at least 95 % with enough work, where no request is larger than 4 % of ``tpm``;
    larger ones leave room that no waiting request fits into.

    Memory is bounded: charges are kept in steps of a tenth of a second. The order of waiting
    requests is the caller's (see :class:`~.limiter.EndpointLimiter`, strictly FIFO).

    Args:
        tpm: tokens per minute, above 0.
    """

    _STEP_S = 0.1
    # With less, a request limit that holds as well could not catch up after a large request.
    _AHEAD_S = 5.0
    _KEEP_S = WINDOW_S + TOKEN_JITTER_S

    def __init__(self, tpm: float) -> None:
        if not (tpm > 0 and math.isfinite(tpm)):
            raise ValueError(f"tpm must be a positive number, got {tpm!r}")
        self._tpm = tpm
        self._tokens_per_s = tpm / self._KEEP_S
        self._cells: deque[_Cell] = deque()
        self._charged = 0
        self._paid_at = -math.inf

    @property
    def window_s(self) -> float:
        """How long a request's tokens count, in seconds."""
        return self._KEEP_S

    @property
    def outstanding(self) -> int:
        """Tokens that count against the current window."""
        return self._charged

    def delay(self, now: float, tokens: int) -> float:
        """Seconds from ``now`` until a request of ``tokens`` may go; 0.0 when it may go now.

        A later :meth:`settle` can shorten it.
        """
        self._expire(now)
        oversized = tokens > self._tpm
        pace = self._paid_at - now - (0.0 if oversized else self._AHEAD_S)
        wait = max(pace, self._time_below(0 if oversized else self._tpm - tokens) - now)
        return wait if wait > _EPSILON_S else 0.0

    def restore(self, sent: Sequence[tuple[float, int]], now: float) -> None:
        """Count earlier requests: moment (see :meth:`RequestLimiter.recall`) and tokens of each."""
        for at, tokens in sent:
            self._charge(at, tokens)
        self._expire(now)
        # As there: requests sent under a higher limit delay later ones by one window at most.
        self._paid_at = min(self._paid_at, now + self._KEEP_S)

    def take(self, now: float, tokens: int) -> Reservation:
        """Reserve ``tokens`` for a request sent at ``now``, where :meth:`delay` was 0."""
        return Reservation(self._charge(now, tokens), tokens)

    def settle(self, reservation: Reservation, actual: int | None, now: float) -> None:
        """Replace the estimate by ``actual`` tokens; None (unknown) lets the estimate stand.

        Settling twice changes nothing.
        """
        if reservation.settled:
            return
        reservation.settled = True
        if actual is None:
            return
        self._expire(now)
        difference = actual - reservation.tokens
        if difference > 0:
            self._charge(now, difference)
        elif difference < 0:
            self._paid_at += difference / self._tokens_per_s
            if reservation.cell.alive:
                reservation.cell.tokens += difference
                self._charged += difference

    def _charge(self, now: float, tokens: int) -> _Cell:
        self._expire(now)
        self._paid_at = max(self._paid_at, now) + tokens / self._tokens_per_s
        self._charged += tokens
        if self._cells and now - self._cells[-1].first < self._STEP_S:
            cell = self._cells[-1]
            cell.last = now
            cell.tokens += tokens
        else:
            cell = _Cell(now, tokens)
            self._cells.append(cell)
        return cell

    def _expire(self, now: float) -> None:
        # The tolerance is that of `delay`: a task that wakes on time must find the room.
        while self._cells and self._cells[0].last + self._KEEP_S <= now + _EPSILON_S:
            cell = self._cells.popleft()
            cell.alive = False
            self._charged -= cell.tokens

    def _time_below(self, limit: float) -> float:
        """When no more than ``limit`` tokens will be charged to the window."""
        charged, when = self._charged, -math.inf
        for cell in self._cells:
            if charged <= limit:
                break
            charged -= cell.tokens
            when = cell.last + self._KEEP_S
        return when
