"""The slots a worker holds, and what it has to report to the slot server."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.distributed.limits.slot_messages import Broadcast
from evalharness.distributed.limits.slot_server import LoadSignal, SlotRequest, SlotResponse
from evalharness.records import Reply
from evalharness.throttle.concurrency import signal_of
from evalharness.throttle.output_token_estimate import tokens_used
from evalharness.throttle.slots import Slots


class SlotLease:
    """Slots that a worker holds, and what its next message reports.

    Args:
        slots: of the worker's limiter; they say how many are in use.
        max_held: slots that may be held until the server has said how many.

    Attributes:
        held: slots that are held.
        max_held: slots that may be held, as the server said last.
        broadcasts: for all workers, not sent yet.
    """

    def __init__(self, slots: Slots, max_held: int) -> None:
        self.held: int = 0
        self.max_held = max_held
        self.broadcasts: list[Broadcast] = []
        self._slots = slots
        self._returned: int = 0
        self._usage: list[tuple[int, int | None]] = []
        self._signals: list[LoadSignal] = []

    @property
    def idle(self) -> int:
        """Slots that are held and not used."""
        return self.held - self._slots.in_flight

    @property
    def spare(self) -> bool:
        """Whether one more request may go with the slots that are held."""
        return self.idle > 0 and self.held <= self.max_held

    def record_usage(self, number: int, reply: Reply | None) -> None:
        """A request that went with grant ``number`` has ended; None: its reply is unknown."""
        self._usage.append((number, None if reply is None else tokens_used(reply)))

    def record_signal(self, reply: Reply, age_s: float) -> None:
        """Note what a reply says of the load, ``age_s`` seconds after its request was admitted."""
        self._signals.append(LoadSignal(signal_of(reply), age_s))

    def drop_grant(self, number: int | None) -> None:
        """A grant was not used: it is spent, and only its tokens are free again."""
        if number is not None:
            self._usage.append((number, 0))

    def return_excess(self) -> None:
        """Return idle slots above what may be held."""
        count = min(self.idle, self.held - self.max_held)
        if count > 0:
            self._return(count)

    def return_idle(self) -> None:
        """Return all idle slots: a worker with nothing to send keeps none from others."""
        self._return(self.idle)

    def return_all(self) -> None:
        """Return all slots: the worker ends, and sends nothing any more."""
        self._return(self.held)

    def message(self, tokens: Sequence[int], idle: int) -> tuple[SlotRequest, list[Broadcast]]:
        """A request for grants with everything that is not reported yet; it counts as sent.

        Args:
            tokens: estimates of the requests that wait.
            idle: slots to report as unused.
        """
        request = SlotRequest(tokens, idle, self._returned, self._usage, self._signals)
        broadcasts = self.broadcasts
        self.broadcasts, self._usage, self._signals, self._returned = [], [], [], 0
        return request, broadcasts

    def apply(self, response: SlotResponse) -> None:
        """Take what the server has answered."""
        self.max_held = response.max_slots
        self.held += response.slots

    def _return(self, count: int) -> None:
        self.held -= count
        self._returned += count
