"""What a worker sends to the slot server, and how it reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from evalharness.distributed.limits.slot_server import Answer, Ask


class Word(NamedTuple):
    """What one worker tells all: a pause, the beginning or end of an outage.

    Attributes:
        pause_s: seconds for which nobody may send; None is no pause.
        reason: why.
        serving: False when the endpoint serves nobody, True when it serves again, None for
            neither.
    """

    pause_s: float | None = None
    reason: str = ""
    serving: bool | None = None


class AskDesk(Protocol):
    """How a worker reaches the desk of its endpoint."""

    async def ask(self, ask: Ask, words: Sequence[Word]) -> Answer:
        """Tell ``words``, then ask. Raises what the connection raises."""
        ...
