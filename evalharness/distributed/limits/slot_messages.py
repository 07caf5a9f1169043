"""What a worker sends to the slot server, and how it reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from evalharness.distributed.limits.slot_server import SlotRequest, SlotResponse


class Broadcast(NamedTuple):
    """What one worker tells all others: a pause, the beginning or end of an outage.

    Attributes:
        pause_s: seconds for which nobody may send; None is no pause.
        reason: why.
        serving: False when the endpoint serves nobody, True when it serves again, None for
            neither.
    """

    pause_s: float | None = None
    reason: str = ""
    serving: bool | None = None


class SlotClient(Protocol):
    """How a worker reaches the slot server of its endpoint."""

    async def request_slots(
        self, request: SlotRequest, broadcasts: Sequence[Broadcast]
    ) -> SlotResponse:
        """Pass on ``broadcasts``, then ask for grants. Raises what the connection raises."""
        ...
