"""The right to send one request, from its admission until its reply is counted."""

from __future__ import annotations

from typing import Any

from evalharness.records import Reply
from evalharness.throttle.permit_issuer import PermitIssuer
from evalharness.throttle.retry_policy import Decision
from evalharness.throttle.token_bucket import Reservation


class Permit:
    """The right to send one request. Give it back with :meth:`release`, whatever happened.

    Attributes:
        admitted_at: clock time (monotonic seconds) at which it was granted, with its slot.
        in_flight: requests in flight then, this one included; 0 while it has no slot.
        transferred: whether another sender sends the payload that was ready with it (see
            :meth:`release_to_next`), and gives it back.
    """

    __slots__ = ("_issuer", "_open", "_tokens", "admitted_at", "in_flight", "transferred")

    def __init__(
        self,
        issuer: PermitIssuer[Permit],
        admitted_at: float,
        in_flight: int,
        tokens: Reservation | int | None,
    ) -> None:
        self._issuer = issuer
        self._open = True
        self._tokens = tokens
        self.admitted_at = admitted_at
        self.in_flight = in_flight
        self.transferred = False

    async def wait_for_slot(self, payload: Any = None) -> bool:
        """Wait until the request may be sent; False where it had a slot from the start.

        Args:
            payload: what is to be sent. With one given, another sender may take it over while this
                one waits; then :attr:`transferred` is true afterwards, also after an error.

        Raises:
            LimiterClosed: the limiter was closed meanwhile.
        """
        if self.in_flight:
            return False
        await self._issuer.wait_for_slot(self, payload)
        return True

    def decide(
        self,
        reply: Reply,
        attempt: int,
        in_doubt_count: int,
        *,
        same_error_count: int | None = None,
    ) -> Decision:
        """What follows from the reply; its pause or stop holds for every sender from this call on.

        Call it once, as soon as the reply is there, and :meth:`release` after it. Arguments as in
        :meth:`~evalharness.throttle.retry_policy.RetryPolicy.decide`.
        """
        return self._issuer.apply(
            self._issuer.policy.decide(
                reply,
                attempt,
                in_doubt_count,
                same_error_count=same_error_count,
                sent_at=self.admitted_at,
            )
        )

    def release(self, reply: Reply | None) -> None:
        """Settle tokens, learn from the reply, free the slot. A second call changes nothing.

        Args:
            reply: what came; None when that is unknown (a cancelled attempt): its tokens
                count as estimated, and nothing is learned.
        """
        if self._open:
            self._open = False
            self._issuer.release(self, self._tokens, reply)

    def release_to_next(self, reply: Reply) -> Any:
        """Give the permit back and take over the payload of the next ready request, if any.

        The caller sends that payload at once. If its owner were woken instead, it would be sent
        only in the next turn of the event loop, after every other reply that has arrived: each of
        a thousand requests would wait for all others, turn after turn.
        """
        if not self._open:
            return None
        self._open = False
        return self._issuer.release_to_next(self, self._tokens, reply)
