"""Which of several servers behind one name answer at present."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from evalharness.records import ErrorKind, Outcome, Reply
from evalharness.throttle.clock import Clock
from evalharness.throttle.retry_rules import Rule, rule_of

_DOWN = frozenset({Rule.NOT_SENT, Rule.UNAVAILABLE, Rule.SERVER_ERROR})
# What says nothing about whether the server answers others.
_UNDECIDED = frozenset({Rule.IN_DOUBT, Rule.RATE_LIMITED, Rule.QUOTA})


class ReplicaHealth:
    """Follows the replies of each server.

    A server that fails at once always has the fewest requests in flight, so that routing by them
    would send it nearly all. After a failure of the server itself it is passed over for a while.

    Args:
        name: of the endpoint, for messages.
        addresses: of its servers.
        clock: where time comes from.
        say: gets messages for people: a server that stopped answering, or answers again.
    """

    PASS_OVER_S = 5.0
    FAILURES_SAID = 3  # in a row

    def __init__(
        self, name: str, addresses: Iterable[str], clock: Clock, say: Callable[[str], None]
    ) -> None:
        self._name = name
        self._clock = clock
        self._say = say
        self._failures = dict.fromkeys(addresses, 0)
        self._failed_at = dict.fromkeys(self._failures, -math.inf)

    def is_passed_over(self, address: str) -> bool:
        """Whether the server failed within the last :data:`PASS_OVER_S` seconds, and since."""
        if self._failures[address] == 0:
            return False
        return self._clock.monotonic() - self._failed_at[address] < self.PASS_OVER_S

    def record(self, address: str, reply: Reply) -> None:
        """Count the reply of a server."""
        if reply.outcome is not Outcome.DELIVERED:
            rule = rule_of(reply)
            if rule in _DOWN or reply.error_kind is ErrorKind.CONNECTION_LOST:
                self._record_failure(address, reply)
                return
            if rule in _UNDECIDED:
                return
        if self._failures[address] >= self.FAILURES_SAID:
            self._say(f"{self._name}: {address} answers again")
        self._failures[address] = 0

    def _record_failure(self, address: str, reply: Reply) -> None:
        self._failures[address] += 1
        self._failed_at[address] = self._clock.monotonic()
        if self._failures[address] == self.FAILURES_SAID:
            cause = " ".join((reply.error_message or reply.error_kind or "error").split())[:120]
            self._say(
                f"{self._name}: {address} failed {self.FAILURES_SAID} times in a row ({cause}); "
                "a request that is sent again goes to another server"
            )
