"""Search for the highest rate that holds: doubling until one does not, then bisection."""

from __future__ import annotations

from enum import StrEnum

from evalharness.config.models import SearchConfig


class SearchResult(StrEnum):
    """What the rates tried say about the highest rate that holds."""

    BETWEEN = "between"  # a rate held, and a higher one did not
    AT_LEAST = "at_least"  # a rate held, and none did not
    BELOW = "below"  # a rate did not hold, and none held
    UNMEASURED = "unmeasured"  # no point was valid


class RateSearch:
    """Proposes rates and takes verdicts; the same verdicts give the same rates.

    From the first rate on, each rate that holds is doubled until one does not (or ``max_rate``
    holds); a first rate that does not hold is halved instead. Between the highest that held and the
    lowest that did not, the middle is tried until they are within ``precision`` of the latter.
    Noise can make a verdict wrong; the interval then is that of the verdicts, and no confidence
    interval.

    A rate that the client could not measure, or at which no request was due, says nothing about the
    server. Lower rates are tried, as after one that did not hold, but it bounds nothing.

    Args:
        first: where to begin, requests/s.
        config: precision and bounds.

    Attributes:
        low: highest rate that held, None so far.
        high: lowest rate that did not, None so far.
        unmeasured: rates the client could not measure, in the order tried.
        n_tried: how many verdicts were taken.
    """

    MIN_SHARE = 1 / 64  # of the first rate: below that the search ends

    def __init__(self, first: float, config: SearchConfig) -> None:
        self._first = min(first, config.max_rate)
        self._config = config
        self.low: float | None = None
        self.high: float | None = None
        self.unmeasured: list[float] = []
        self.n_tried = 0

    def next_rate(self) -> float | None:
        """The rate to try next; None when the search is over."""
        low, config = self.low, self._config
        upper = min((r for r in (self.high, *self.unmeasured) if r is not None), default=None)
        if self.n_tried >= config.max_points:
            return None
        if low is None and upper is None:
            return self._first
        if upper is None:
            assert low is not None
            return None if low >= config.max_rate else _round(min(2 * low, config.max_rate))
        if low is None:
            return None if upper <= self._first * self.MIN_SHARE else _round(upper / 2)
        if upper - low <= config.precision * upper:
            return None
        middle = _round((low + upper) / 2)
        return middle if low < middle < upper else None

    def observe(self, rate: float, *, holds: bool | None) -> None:
        """Take the verdict on a rate; None where the client could not measure it."""
        self.n_tried += 1
        if holds is None:
            self.unmeasured.append(rate)
        elif holds:
            self.low = rate if self.low is None else max(self.low, rate)
        else:
            self.high = rate if self.high is None else min(self.high, rate)

    @property
    def result(self) -> SearchResult:
        """What the verdicts say."""
        if self.low is not None:
            return SearchResult.AT_LEAST if self.high is None else SearchResult.BETWEEN
        return SearchResult.UNMEASURED if self.high is None else SearchResult.BELOW

    @property
    def outcome(self) -> str:
        """The result, in words."""
        if self.n_tried == 0:
            return "nothing was tried"
        low, high, missing = self.low, self.high, self.unmeasured
        if low is None and high is None:
            return (
                f"not measured: no point ({_rates(missing)}) is valid, because of the client or "
                "because no request was due, which says nothing about the server"
            )
        if low is None:
            if not missing:
                return f"no rate held down to {high:g}/s"
            return f"{high:g}/s does not hold; not measured: {_rates(missing)}"
        if high is not None:
            rest = f"; not measured: {_rates(missing)}" if missing else ""
            return f"the highest rate that holds is between {low:g} and {high:g} requests/s{rest}"
        if missing:
            return f"at least {low:g}/s; above that this client could not measure"
        return f"{low:g}/s holds, and no higher rate was tried"


def _rates(rates: list[float]) -> str:
    """``7.5, 15 and 30/s``."""
    shown = [f"{rate:g}" for rate in sorted(rates)]
    return f"{', '.join(shown[:-1])} and {shown[-1]}/s" if len(shown) > 1 else f"{shown[0]}/s"


def _round(rate: float) -> float:
    """Round to four significant digits, so that a rate can be typed and compared."""
    return float(f"{rate:.4g}")
