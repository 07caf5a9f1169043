"""What a worker has from the desk, and what it has to tell it about that."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.distributed.limits.slot_messages import Word
from evalharness.distributed.limits.slot_server import Answer, Ask, Signalled
from evalharness.records import Reply
from evalharness.throttle.concurrency import signal_of
from evalharness.throttle.output_token_estimate import tokens_used
from evalharness.throttle.slots import Slots


class Loan:
    """Slots that are held, and news that the next message takes along.

    Args:
        slots: those of the worker's gate, which say how many are in use.
        keep: slots that may be held until the desk has said so itself.

    Attributes:
        held: slots that are held.
        keep: slots that may be held, as the desk said last.
        words: for all workers, not told yet.
    """

    def __init__(self, slots: Slots, keep: int) -> None:
        self.held: int = 0
        self.keep = keep
        self.words: list[Word] = []
        self._slots = slots
        self._returned: int = 0
        self._used: list[tuple[int, int | None]] = []
        self._signals: list[Signalled] = []

    @property
    def idle(self) -> int:
        """Slots that are held and not used."""
        return self.held - self._slots.in_flight

    @property
    def spare(self) -> bool:
        """Whether one more request may go with the slots that are held."""
        return self.idle > 0 and self.held <= self.keep

    def ended(self, number: int, reply: Reply | None) -> None:
        """A request that went by leave ``number`` is over; None: without a known reply."""
        self._used.append((number, None if reply is None else tokens_used(reply)))

    def signal(self, reply: Reply, age_s: float) -> None:
        """Note what a reply says of the load, ``age_s`` seconds after its request was let go."""
        self._signals.append(Signalled(signal_of(reply), age_s))

    def unused(self, number: int | None) -> None:
        """Leave that nobody used is used up all the same; only its tokens come back."""
        if number is not None:
            self._used.append((number, 0))

    def give_back(self) -> None:
        """Slots beyond what may be kept go back as they become idle."""
        back = min(self.idle, self.held - self.keep)
        if back > 0:
            self._return(back)

    def give_back_idle(self) -> None:
        """Whoever has nothing to send keeps no slot from others."""
        self._return(self.idle)

    def give_back_all(self) -> None:
        """The worker ends: nothing is sent any more."""
        self._return(self.held)

    def message(self, tokens: Sequence[int], idle: int) -> tuple[Ask, list[Word]]:
        """Wish for leave, and all there is to tell, which counts as told then.

        Args:
            tokens: estimates of the requests that wait.
            idle: slots to be named as unused.
        """
        ask, words = Ask(tokens, idle, self._returned, self._used, self._signals), self.words
        self.words, self._used, self._signals, self._returned = [], [], [], 0
        return ask, words

    def heard(self, answer: Answer) -> None:
        """The desk answered."""
        self.keep = answer.keep
        self.held += answer.slots

    def _return(self, count: int) -> None:
        self.held -= count
        self._returned += count
