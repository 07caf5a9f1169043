"""Requests and tokens per minute of one endpoint, taken together or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from evalharness.config.models import LimitsConfig, Profile
from evalharness.throttle.token_bucket import RequestLimiter, Reservation, TokenLimiter


class RateDelay(NamedTuple):
    """Which rate delays a request, and for how many seconds from now."""

    reason: str
    seconds: float


class EndpointRates:
    """The rate limits of one endpoint; there may be none.

    Args:
        limits: rpm and tpm.
        profile: what differs between providers.

    Attributes:
        limited: whether there is any rate limit.
        counts_tokens: whether there is one of tokens.
    """

    __slots__ = ("_profile", "_requests", "_tokens", "counts_tokens", "limited")

    def __init__(self, limits: LimitsConfig, profile: Profile) -> None:
        self._profile = profile
        self._requests = self._request_limiter(limits.rpm)
        self._tokens = None if limits.tpm is None else TokenLimiter(limits.tpm)
        self.counts_tokens = self._tokens is not None
        self.limited = self.counts_tokens or self._requests is not None

    def _request_limiter(self, rpm: float | None) -> RequestLimiter | None:
        if rpm is None:
            return None
        return RequestLimiter(rpm, per_second_caps=self._profile.per_second_caps)

    def set_rpm(self, rpm: float | None, sent: Iterable[float], now: float) -> None:
        """Change the requests per minute; None is no limit.

        Args:
            rpm: the new limit, from ``now`` (monotonic seconds) on.
            sent: when requests were sent lately, ascending: they count.
            now: monotonic seconds.
        """
        self._requests = self._request_limiter(rpm)
        if self._requests is not None:
            first = now - self._requests.window_s
            self._requests.restore([at for at in sent if at > first], now)
        self.limited = self.counts_tokens or self._requests is not None

    @property
    def window_s(self) -> float:
        """How long a request counts against a limit, in seconds; 0.0 without limits."""
        limits = (self._requests, self._tokens)
        return max((limit.window_s for limit in limits if limit is not None), default=0.0)

    def restore(self, sent: Iterable[tuple[float, int]], now: float) -> None:
        """Count what an earlier process sent.

        Args:
            sent: the moment (monotonic seconds of this process) and the tokens of each request,
                in any order; a moment in the future counts as now.
            now: monotonic seconds.
        """
        first = now - self.window_s
        recent = sorted((min(now, at), tokens) for at, tokens in sent if at > first)
        if self._requests is not None:
            self._requests.restore([at for at, _ in recent], now)
        if self._tokens is not None:
            self._tokens.restore(recent, now)

    def delay(self, tokens: int, now: float) -> RateDelay | None:
        """What delays a request of so many tokens at ``now``; None when it may go."""
        by_requests = 0.0 if self._requests is None else self._requests.delay(now)
        by_tokens = 0.0 if self._tokens is None else self._tokens.delay(now, tokens)
        if by_requests == 0.0 and by_tokens == 0.0:
            return None
        if by_requests >= by_tokens:
            return RateDelay("requests per minute", by_requests)
        return RateDelay("tokens per minute", by_tokens)

    def take(self, tokens: int, now: float) -> Reservation | None:
        """Count a request sent where :meth:`delay` was None; its tokens, where they count."""
        if self._requests is not None:
            self._requests.take(now)
        return None if self._tokens is None else self._tokens.take(now, tokens)

    def settle(self, reservation: Reservation, tokens: int | None, now: float) -> None:
        """Replace an estimate by what was used (see :meth:`TokenLimiter.settle`)."""
        if self._tokens is not None:
            self._tokens.settle(reservation, tokens, now)
