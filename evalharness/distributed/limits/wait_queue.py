"""Those who wait at a worker's gate, until leave comes for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from evalharness.throttle.blocking import Hold
from evalharness.throttle.permit import Permit
from evalharness.throttle.retry import Decision
from evalharness.throttle.waiters import Held, Stopped, Waiter


class Waiting(Waiter):
    """One request in line, and what comes of it: a permit, or why there is none."""

    __slots__ = ("leave",)

    def __init__(self, tokens: int, take: Callable[[], bool] | None, *, patient: bool) -> None:
        super().__init__(tokens, take, patient=patient, early=False)
        self.leave: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()

    def turn_away(self, why: Held | Stopped) -> None:
        """Say why there is no permit, unless it has given up waiting by itself."""
        if not self.leave.done():
            self.leave.set_exception(why)


class Line(deque[Waiting]):
    """Requests in order of arrival."""

    @property
    def short(self) -> bool:
        """Whether the first waits for money, which the desk does not give."""
        return bool(self) and self[0].short

    def tokens(self, most: int) -> list[int]:
        """Estimates of those that leave is wanted for; none while the first waits for money."""
        return [] if self.short else [waiter.tokens for waiter in islice(self, most)]

    def turn_away(self, hold: Hold, now: float) -> None:
        """While nobody is admitted, whoever is not patient may do something else."""
        for waiter in [w for w in self if not w.patient]:
            self.remove(waiter)
            waiter.turn_away(Held(hold.until - now, hold.reason))

    def give_up(self, waiter: Waiting) -> None:
        """One was cancelled: it leaves the line, or gives back what it has got meanwhile."""
        if waiter.leave.done() and not waiter.leave.cancelled():
            if waiter.leave.exception() is None:
                waiter.leave.result().done(None)
        else:
            self.remove(waiter)

    def close(self, decision: Decision | None) -> None:
        """Send everybody away."""
        while self:
            self.popleft().turn_away(Stopped(decision))
