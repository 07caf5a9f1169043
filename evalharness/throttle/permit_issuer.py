"""What a permit needs from the limiter that issued it.

A protocol of its own, so that :mod:`.permit` and :mod:`.limiter` need not import each other.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from evalharness.records import Reply
from evalharness.throttle.retry_policy import Decision, RetryPolicy
from evalharness.throttle.token_bucket import Reservation

P = TypeVar("P", contravariant=True)  # the permit


class PermitIssuer(Protocol[P]):
    """Decides about replies for every sender, and takes permits back."""

    @property
    def policy(self) -> RetryPolicy:
        """What follows from a reply."""
        ...

    def apply(self, decision: Decision) -> Decision:
        """Apply what a decision means for everybody: a pause, or a stop. Returns it."""
        ...

    def wait_for_slot(self, permit: P, payload: Any) -> Coroutine[Any, Any, None]:
        """Wait for the slot of a permit that was issued without one."""
        ...

    def release(self, permit: P, tokens: Reservation | int | None, reply: Reply | None) -> None:
        """Take a permit back."""
        ...

    def release_to_next(
        self, permit: P, tokens: Reservation | int | None, reply: Reply | None
    ) -> Any:
        """Take a permit back and give its slot to the next ready request: its payload, or None."""
        ...
