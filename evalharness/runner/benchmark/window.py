"""The measurement window: where warm-up and measuring end, for open and closed loops alike."""

from __future__ import annotations

from evalharness.config.models import LoadConfig
from evalharness.records import Phase


class MeasurementWindow:
    """Sorts requests by when they are due: warm-up, measured, or after the end.

    There is no gap between the phases: the load goes on, and nothing is drained. The window of n
    measured requests runs from the first's due time to the due time of the request that would
    come next, so that n requests have n gaps.

    Args:
        load: warm-up and end of the load point.
        measured: maximum of measured requests; None where only time ends it.

    Attributes:
        begin_s, end_s: the measured window, seconds from the anchor; None until known.
        scheduled: measured requests so far.
    """

    def __init__(self, load: LoadConfig, measured: int | None) -> None:
        self._load = load
        self._measured = measured
        self._warmup_count = 0
        self._last = 0.0
        self.begin_s: float | None = 0.0 if load.arrival == "ramp" else None
        self.end_s: float | None = None
        self.scheduled = 0

    @property
    def max_requests(self) -> int | None:
        """Maximum of requests of both phases; None where time decides."""
        if self._measured is None or self._load.warmup_s:
            return None
        return self._measured + self._load.warmup_requests

    @property
    def full(self) -> bool:
        """Whether the maximum of measured requests has been taken."""
        return self.scheduled == self._measured

    def next_phase(self, at: float) -> Phase | None:
        """The phase of the next request, due ``at``; None when the window is over."""
        if self.end_s is not None:
            return None
        if self.scheduled == 0 and self._in_warmup(at):
            self._warmup_count += 1
            return Phase.WARMUP
        if self.begin_s is None:
            self.begin_s = self._load.warmup_s or at
        seconds = self._load.duration_s
        if seconds is not None and at >= self.begin_s + seconds:
            self.end_s = self.begin_s + seconds
            return None
        if self.scheduled == self._measured:
            self.end_s = at
            return None
        self.scheduled += 1
        self._last = at
        return Phase.MEASURED

    def close(self, at: float | None = None) -> None:
        """Nothing more comes: the window ends ``at``, else where its own rules say."""
        if self.begin_s is None or self.end_s is not None:
            return
        if at is not None:
            self.end_s = max(at, self.begin_s)
        elif self._load.arrival == "ramp" and self._load.duration_s is not None:
            self.end_s = self._load.duration_s
        else:  # a replay: one mean gap after its last request
            gaps = max(1, self.scheduled - 1)
            self.end_s = self._last + (self._last - self.begin_s) / gaps

    def _in_warmup(self, at: float) -> bool:
        return self._warmup_count < self._load.warmup_requests or at < self._load.warmup_s
