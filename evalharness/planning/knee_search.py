"""Finding the knee of a server with few load points: where it begins to make requests wait.

Two figures are asked for first: the latency of one request at a time (*idle*), and the throughput
with many in flight (*saturation*). What comes next follows from them.

* Over rates: the highest at which the median latency is at most ``slowdown`` times the idle one.
  Where a server is a queue with exponential times, or a batch in which each request costs the
  others the same, a latency of twice the idle one is where throughput divided by latency is
  highest (Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer
  communications", ICC 1979). There 1 / latency falls in a straight line with the rate, so the next
  rate is read from such a line; where the line is wrong, the interval is halved.
* Over concurrency: saturation throughput × idle latency, where the two asymptotes of a closed loop
  meet (Lazowska et al., "Quantitative System Performance", 1984, chapter 5). Points around it show
  the bend.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from evalharness.config.benchmark import LoadSweepConfig

_NEAR = 0.9  # of saturation: the first rate that is tried
_AIM = 0.9  # of the precision: how far apart two rates around the expected knee are


class SweepStep(NamedTuple):
    """A load to measure: ``rate`` in requests/s, or ``concurrency`` in requests in flight."""

    over: Literal["rate", "concurrency"]
    value: float


class StepResult(NamedTuple):
    """What a measurement says about the server.

    Attributes:
        throughput_per_s: answers per second; None where it is not known, or was not held.
        latency_s: the median; None without answers.
        is_valid: false where the client made it invalid, so that it says nothing.
        is_held: false where the server did not keep up: over-saturated, or too many failures.
        rate: requests due per second, which differs from the rate asked for where arrivals are by
            chance; None where it is that.
    """

    throughput_per_s: float | None
    latency_s: float | None
    is_valid: bool = True
    is_held: bool = True
    rate: float | None = None


class KneeSearch:
    """Proposes loads and takes results; the same results give the same loads.

    Args:
        config: what is raised, and how far.

    Attributes:
        idle: the result of one request at a time; None so far.
        saturation: that of ``max_concurrency`` requests in flight; None so far.
        low, high: highest rate that is held with a latency up to ``slowdown``, and lowest that is
            not, both of open loops, as requests were really due; None so far.
        low_step: the load that ``low`` is of.
        unmeasured: rates and concurrencies that the client could not measure.
        n_tried: how many results were taken.
    """

    def __init__(self, config: LoadSweepConfig) -> None:
        self._config = config
        self.idle: StepResult | None = None
        self.saturation: StepResult | None = None
        self.low: float | None = None
        self.high: float | None = None
        self.low_step: SweepStep | None = None
        self.unmeasured: list[SweepStep] = []
        self.n_tried = 0
        self._low_latency: float | None = None
        self._high_latency: float | None = None
        self._bounds: list[str] = []  # which bound each rate became, in their order
        self._concurrencies: set[int] = set()
        self._due_share = 1.0  # of the rate asked for: what chance made of it, by one seed

    def next_step(self) -> SweepStep | None:
        """The load to measure next; None when the sweep is over."""
        if self.n_tried >= self._config.points:
            return None
        if self.idle is None:
            return None if self.unmeasured else SweepStep("concurrency", 1)
        if self.saturation is None and not self.unmeasured:
            return SweepStep("concurrency", self._config.max_concurrency)
        if self._config.over == "concurrency":
            return self._next_concurrency()
        rate = self._next_rate()
        return None if rate is None else SweepStep("rate", rate)

    def holds(self, result: StepResult) -> bool | None:
        """Whether a load is at or below the knee; None where that is not known."""
        if not result.is_valid:
            return None
        if not result.is_held or result.latency_s is None:
            return False
        idle = self.idle.latency_s if self.idle is not None else None
        return idle is None or result.latency_s <= self._config.slowdown * idle

    def observe(self, step: SweepStep, result: StepResult) -> None:
        """Take the result of a load."""
        self.n_tried += 1
        if step.over == "rate":
            self._observe_rate(step, result)
            return
        self._concurrencies.add(round(step.value))
        if not result.is_valid or (step.value == 1 and not result.is_held):
            self.unmeasured.append(step)
        elif step.value == 1:
            self.idle = result
        elif step.value == self._config.max_concurrency:
            self.saturation = result

    @property
    def idle_latency_s(self) -> float | None:
        """The median latency of one request at a time; None where it is not known."""
        return None if self.idle is None else self.idle.latency_s

    # ── rates ────────────────────────────────────────────────────────────────────────────────

    def _observe_rate(self, step: SweepStep, result: StepResult) -> None:
        holds = self.holds(result)
        rate = step.value if result.rate is None else result.rate
        if rate > 0:
            self._due_share = rate / step.value
        if holds is None:
            self.unmeasured.append(step)
        elif holds:
            if self.low is None or rate > self.low:
                self.low, self._low_latency, self.low_step = rate, result.latency_s, step
            self._bounds.append("low")
        elif self.high is None or rate < self.high:
            self.high = rate
            self._high_latency = result.latency_s if result.is_held else None
            self._bounds.append("high")

    def _next_rate(self) -> float | None:
        upper = self._upper()
        rate = self._higher_rate() if upper is None else self._between(self.low or 0.0, upper)
        limit, tried = self._config.max_rate, self.low_step
        if rate is None or (limit is not None and tried is not None and tried.value >= limit):
            return None
        offered = rate / self._due_share
        rounded = float(f"{offered if limit is None else min(offered, limit):.4g}")
        return None if upper is not None and rate >= upper else rounded

    def _upper(self) -> float | None:
        """The lowest rate that is not held, or could not be measured."""
        rates = [step.value for step in self.unmeasured if step.over == "rate"]
        return min((r for r in (self.high, *rates) if r is not None), default=None)

    def _higher_rate(self) -> float | None:
        """A rate above all that are held, where none is known that is not."""
        low, saturation = self.low, self.saturation
        full = None if saturation is None else saturation.throughput_per_s
        if low is None and full is not None:
            return _NEAR * full
        if low is not None:
            is_full = saturation is not None and not self.holds(saturation)
            step = _AIM * self._config.precision
            if full is None or not is_full or low > 1.5 * full:
                return 2 * low
            # Above what it does when full, a rate is held for a while only: two steps at once.
            return low * (1 + (step if low < 1.02 * full else 2 * step))
        alone = None if self.idle is None else self.idle.throughput_per_s
        return None if alone is None else alone / 2

    def _between(self, low: float, upper: float) -> float | None:
        if upper - low <= self._config.precision * upper:
            return None
        middle = (low + upper) / 2
        expected = self._expected_knee(low, upper)
        if expected is None or self._bounds[-2:] in (["low", "low"], ["high", "high"]):
            # Where the line was wrong twice in the same direction, halving is safe.
            return middle if expected is None or len(self._bounds) > 2 else expected
        width = _AIM * self._config.precision * expected
        if upper - low <= 2 * width:
            return middle
        below = expected - width / 2
        aim = below if below - low > width / 2 else expected + width / 2
        return min(max(aim, low + width / 2), upper - width / 2)

    def _expected_knee(self, low: float, upper: float) -> float | None:
        """Where 1 / latency, as a straight line, falls to that of the knee."""
        idle = self.idle_latency_s
        low_latency = self._low_latency if low else idle  # at a rate of nearly none
        if not (idle and low_latency and self._high_latency) or upper != self.high:
            return None
        target = 1 / (self._config.slowdown * idle)
        at_low, at_high = 1 / low_latency, 1 / self._high_latency
        if at_low <= at_high:
            return None
        return low + (upper - low) * (at_low - target) / (at_low - at_high)

    # ── concurrency ──────────────────────────────────────────────────────────────────────────

    def _next_concurrency(self) -> SweepStep | None:
        """Points at the knee, at half and twice of it, and further apart."""
        idle, full = self.idle, self.saturation
        most = self._config.max_concurrency
        knee = most / 2.0
        if idle is not None and idle.latency_s and full is not None and full.throughput_per_s:
            knee = full.throughput_per_s * idle.latency_s
        tried = [*self._concurrencies, *(round(s.value) for s in self.unmeasured)]
        for share in (1.0, 2.0, 0.5, 4.0, 0.25, 1.5, 0.75):
            value = min(max(round(knee * share), 1), most)
            if value not in tried:
                return SweepStep("concurrency", value)
        return None

    # ── result ───────────────────────────────────────────────────────────────────────────────

    @property
    def knee_rate(self) -> float | None:
        """The best single number for the knee between ``low`` and ``high``; None unless both are.

        Where the latency at ``high`` is known, the rate at which 1 / latency, as a straight line,
        falls to that of the knee; else the middle. No more than the server does when saturated.
        """
        if self.low is None or self.high is None or self.high <= self.low:
            return None
        expected = self._expected_knee(self.low, self.high)
        middle = (self.low + self.high) / 2 if expected is None else expected
        full = None if self.saturation is None else self.saturation.throughput_per_s
        return middle if full is None else min(middle, max(self.low, full))


def step_text(step: SweepStep, result: StepResult, holds: bool | None) -> str:
    """One line about a step: its load, what came of it, and whether it is below the knee."""
    load = f"{step.value:g} requests/s" if step.over == "rate" else f"{step.value:g} in flight"
    if holds is None:
        return f"{load}: not measured: the client could not hold this load"
    done = result.throughput_per_s
    figures = [
        "latency unknown" if result.latency_s is None else f"latency {result.latency_s:.3g} s",
        *([] if done is None else [f"{done:.3g} answers/s"]),
        *([] if result.is_held else ["the server does not keep up"]),
    ]
    verdict = "at or below the knee" if holds else "above the knee"
    return f"{load}: {', '.join(figures)}; {verdict}"
