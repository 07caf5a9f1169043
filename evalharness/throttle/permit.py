"""The right to send one request, from its admission until its reply is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalharness.records import Reply
from evalharness.throttle.retry import Decision
from evalharness.throttle.token_bucket import Reservation

if TYPE_CHECKING:
    from evalharness.throttle.limiter import Gate


class Permit:
    """The right to send one request. Give it back with :meth:`done`, whatever happened.

    Attributes:
        admitted_at: clock time (monotonic seconds) at which it was granted, with its slot.
        in_flight: requests in flight then, this one included; 0 while it has no slot.
        carried: whether somebody else sends what stood ready with it (see :meth:`hand_on`), and
            gives it back.
    """

    __slots__ = ("_gate", "_open", "_tokens", "admitted_at", "carried", "in_flight")

    def __init__(
        self, gate: Gate, admitted_at: float, in_flight: int, tokens: Reservation | int | None
    ) -> None:
        self._gate = gate
        self._open = True
        self._tokens = tokens
        self.admitted_at = admitted_at
        self.in_flight = in_flight
        self.carried = False

    async def slot(self, cargo: Any = None) -> bool:
        """Wait until the request may really go; False when it was not admitted early, but to go.

        Args:
            cargo: what is to be sent. With one given, somebody else may do that meanwhile; then
                :attr:`carried` is true afterwards, also after an error.

        Raises:
            Stopped: the gate was closed meanwhile.
        """
        if self.in_flight:
            return False
        await self._gate.prepared.stand_ready(self, cargo)
        return True

    def decide(
        self, reply: Reply, attempt: int, in_doubt_so_far: int, *, kind_so_far: int | None = None
    ) -> Decision:
        """What follows from the reply; its pause or stop holds for every sender from this call on.

        Call it once, as soon as the reply is there, and :meth:`done` after it. Arguments as in
        :meth:`~evalharness.throttle.retry.RetryPolicy.decide`.
        """
        return self._gate.heed(
            self._gate.policy.decide(
                reply,
                attempt,
                in_doubt_so_far,
                kind_so_far=kind_so_far,
                sent_at=self.admitted_at,
            )
        )

    def done(self, reply: Reply | None) -> None:
        """Settle tokens, learn from the reply, free the slot. A second call changes nothing.

        Args:
            reply: what came; None when that is unknown (a cancelled attempt): its tokens
                count as estimated, and nothing is learned.
        """
        if self._open:
            self._open = False
            self._gate.release(self, self._tokens, reply)

    def hand_on(self, reply: Reply) -> Any:
        """As :meth:`done`, and take over what the first in line has ready; None where nothing goes.

        The caller sends it at once. Were its owner woken instead, it would go in the next turn of
        the event loop only: after every other reply that is there, so that of a thousand requests
        each would wait for all, and keep doing so.
        """
        if not self._open:
            return None
        self._open = False
        return self._gate.hand_on(self, self._tokens, reply)
