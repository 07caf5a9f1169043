"""The measurement window: where warm-up and measuring end, for open and closed loops alike."""

from __future__ import annotations

from evalharness.config.models import LoadConfig
from evalharness.records import Phase


class MeasurementWindow:
    """Sorts requests by when they are due: warm-up, measured, or after the end.

    There is no gap between the phases: the load goes on, and nothing is drained. The window of n
    measured requests runs from the first's due time to the due time of the request that would
    come next, so that n requests have n gaps.

    With conversations these arrive, and are what is counted. A later turn is measured where it is
    due in the window. Their number ends the window with the last turn of the last conversation;
    time ends it where it does, and turns that become due later are not sent.

    Args:
        load: warm-up and end of the load point.
        measured: maximum of measured requests, or of conversations; None where only time ends it.
        conversations: whether there are any.

    Attributes:
        begin_s, end_s: the measured window, seconds from the anchor; None until known.
        scheduled: measured requests so far, later turns included.
        sessions: conversations and single requests that arrived in the window.
        arrivals_end_s: from when on none arrives any more; None until known.
    """

    def __init__(
        self, load: LoadConfig, measured: int | None, *, conversations: bool = False
    ) -> None:
        self._load = load
        self._measured = measured
        self._conversations = conversations
        self._warmup_count = 0
        self._last = 0.0
        self.begin_s: float | None = 0.0 if load.arrival == "ramp" else None
        self.end_s: float | None = None
        self.scheduled = self.sessions = 0
        self.arrivals_end_s: float | None = None

    @property
    def max_requests(self) -> int | None:
        """Maximum of requests of both phases; None where time decides."""
        if self._measured is None or self._load.warmup_s:
            return None
        return self._measured + self._load.warmup_requests

    @property
    def full(self) -> bool:
        """Whether the maximum of measured requests, or of conversations, has been taken."""
        return self.sessions == self._measured

    def next_phase(self, at: float) -> Phase | None:
        """The phase of the next request, due ``at``; None when the window is over."""
        if self.end_s is not None or self.arrivals_end_s is not None:
            return None
        if self.sessions == 0 and self._in_warmup(at):
            self._warmup_count += 1
            return Phase.WARMUP
        if self.begin_s is None:
            self.begin_s = self._load.warmup_s or at
        if self._is_over(at):
            return None
        if self.full:
            self.close_arrivals(at)
            return None
        self.scheduled += 1
        self.sessions += 1
        self._last = at
        return Phase.MEASURED

    def next_turn_phase(self, at: float) -> Phase | None:
        """The phase of a later turn, due ``at``; None when the window is over."""
        if self.begin_s is None and at >= self._load.warmup_s:
            self.begin_s = self._load.warmup_s
        # The phase of the next arrival is asked for before it is due, so that both may be known.
        if self.begin_s is None or at < self.begin_s:
            return Phase.WARMUP
        if self.is_over_at(at):
            return None
        self.scheduled += 1
        return Phase.MEASURED

    def is_over_at(self, at: float) -> bool:
        """Whether the window is over, or time will have ended it ``at`` a moment to come."""
        begin = self._load.warmup_s if self.begin_s is None else self.begin_s
        seconds, end = self._load.duration_s, self.end_s
        return (end is not None and at >= end) or (seconds is not None and at >= begin + seconds)

    def close_arrivals(self, at: float) -> None:
        """Nothing more arrives: the window ends ``at``, or with the conversations that go on."""
        if self.arrivals_end_s is None:
            self.arrivals_end_s = at
        if not self._conversations:
            self.close(at)

    def _is_over(self, at: float) -> bool:
        """Whether time has ended the window."""
        seconds = self._load.duration_s
        if seconds is None or self.begin_s is None or at < self.begin_s + seconds:
            return False
        self.end_s = self.begin_s + seconds
        return True

    def close(self, at: float | None = None) -> None:
        """Nothing more comes: the window ends ``at``, else where its own rules say."""
        if self.arrivals_end_s is None:
            self.arrivals_end_s = self._last if at is None else at
        if self.begin_s is None or self.end_s is not None:
            return
        if at is not None:
            seconds = self._load.duration_s
            latest = self.begin_s + seconds if self._conversations and seconds else at
            self.end_s = max(min(at, latest), self.begin_s)
        elif self._conversations:
            return  # they go on when no more arrive
        elif self._load.arrival == "ramp" and self._load.duration_s is not None:
            self.end_s = self._load.duration_s
        else:  # a replay: one mean gap after its last request
            gaps = max(1, self.scheduled - 1)
            self.end_s = self._last + (self._last - self.begin_s) / gaps

    def _in_warmup(self, at: float) -> bool:
        return self._warmup_count < self._load.warmup_requests or at < self._load.warmup_s
