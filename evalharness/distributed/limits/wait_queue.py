"""Requests that wait in a worker until the slot server grants them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from evalharness.throttle.blocking import EndpointBlock
from evalharness.throttle.permit import Permit
from evalharness.throttle.retry_policy import Decision
from evalharness.throttle.waiters import EndpointPaused, LimiterClosed, Waiter


class QueuedRequest(Waiter):
    """One waiting request.

    Attributes:
        permit: future of its permit, or of the error that says why there is none.
    """

    __slots__ = ("permit",)

    def __init__(self, tokens: int, reserve: Callable[[], bool] | None, *, patient: bool) -> None:
        super().__init__(tokens, reserve, patient=patient, early=False)
        self.permit: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()

    def reject(self, error: EndpointPaused | LimiterClosed) -> None:
        """Say why there is no permit, unless its caller has given up waiting."""
        if not self.permit.done():
            self.permit.set_exception(error)


class WaitQueue(deque[QueuedRequest]):
    """Requests in order of arrival."""

    @property
    def lacks_budget(self) -> bool:
        """Whether the first waits for budget, which the slot server does not give."""
        return bool(self) and self[0].lacks_budget

    def token_estimates(self, limit: int) -> list[int]:
        """Of the requests to ask grants for; none while the first waits for budget."""
        return [] if self.lacks_budget else [waiter.tokens for waiter in islice(self, limit)]

    def reject_impatient(self, block: EndpointBlock, now: float) -> None:
        """While nobody is admitted, a caller that is not patient may do something else."""
        for waiter in [w for w in self if not w.patient]:
            self.remove(waiter)
            waiter.reject(EndpointPaused(block.until - now, block.reason))

    def discard(self, waiter: QueuedRequest) -> None:
        """A caller was cancelled: remove its request, or release the permit it got meanwhile."""
        if waiter.permit.done() and not waiter.permit.cancelled():
            if waiter.permit.exception() is None:
                waiter.permit.result().release(None)
        else:
            self.remove(waiter)

    def close(self, decision: Decision | None) -> None:
        """Reject every request."""
        while self:
            self.popleft().reject(LimiterClosed(decision))
