"""Search for the highest rate that holds: doubling until one does not, then bisection."""

from __future__ import annotations

from evalharness.config.models import SearchConfig


class RateSearch:
    """Proposes rates and takes verdicts; the same verdicts give the same rates.

    From the first rate on, each rate that holds is doubled until one does not (or ``max_rate``
    holds); a first rate that does not hold is halved instead. Between the highest that held and the
    lowest that did not, the middle is tried until they are within ``precision`` of the latter.
    Noise can make a verdict wrong; the interval then is that of the verdicts, and no confidence
    interval.

    Args:
        first: where to begin, requests/s.
        config: precision and bounds.

    Attributes:
        low: highest rate that held, None so far.
        high: lowest rate that did not, None so far.
        n_tried: how many verdicts were taken.
    """

    MIN_SHARE = 1 / 64  # of the first rate: below that the search ends

    def __init__(self, first: float, config: SearchConfig) -> None:
        self._first = min(first, config.max_rate)
        self._config = config
        self.low: float | None = None
        self.high: float | None = None
        self.n_tried = 0

    def next_rate(self) -> float | None:
        """The rate to try next; None when the search is over."""
        low, high, config = self.low, self.high, self._config
        if self.n_tried >= config.max_points:
            return None
        if low is None and high is None:
            return self._first
        if high is None:
            assert low is not None
            return None if low >= config.max_rate else _round(min(2 * low, config.max_rate))
        if low is None:
            return None if high <= self._first * self.MIN_SHARE else _round(high / 2)
        if high - low <= config.precision * high:
            return None
        middle = _round((low + high) / 2)
        return middle if low < middle < high else None

    def observe(self, rate: float, *, holds: bool) -> None:
        """Take the verdict on a rate."""
        self.n_tried += 1
        if holds:
            self.low = rate if self.low is None else max(self.low, rate)
        else:
            self.high = rate if self.high is None else min(self.high, rate)

    @property
    def outcome(self) -> str:
        """The result, in words."""
        if self.low is None and self.high is None:
            return "nothing was tried"
        if self.low is None:
            return f"no rate held down to {self.high:g}/s"
        if self.high is None:
            return f"{self.low:g}/s holds, and no higher rate was tried"
        return f"the highest rate that holds is between {self.low:g} and {self.high:g} requests/s"


def _round(rate: float) -> float:
    """Round to four significant digits, so that a rate can be typed and compared."""
    return float(f"{rate:.4g}")
