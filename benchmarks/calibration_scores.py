"""Power of differences of pass/fail scores, at what runs without a difference promise."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration_cells import POWER, Case, Outcome
from benchmarks.calibration_power import PILOTS, root_mean_square, simulate
from evalharness.analysis import stats

Floats = NDArray[np.float64]
Effect = Literal["prompts alike", "log odds", "in proportion"]

EFFECTS: tuple[Effect, ...] = ("prompts alike", "log odds", "in proportion")
_SLOW_PILOTS = 40  # where McNemar's test is enumerated
_BOUND = "often an upper bound"
_LARGEST = "nearly the largest difference there is"


def _abilities(rng: np.random.Generator, rate: float, size: int | tuple[int, ...]) -> Floats:
    return np.clip(rng.beta(2.0 * rate, 2.0 * (1.0 - rate), size), 1e-9, 1.0 - 1e-9)


def _shifted(ability: Floats, shift: float) -> Floats:
    """Abilities with the log odds lower by so much."""
    return ability / (ability + (1.0 - ability) * math.exp(shift))


@lru_cache(maxsize=64)
def log_odds_shift(rate: float, gain: float) -> float:
    """By what all log odds are lower where the mean ability, above one half, is so much lower."""
    above = max(rate, 1.0 - rate)
    ability = _abilities(np.random.default_rng(0), above, 100_000)
    # The mean of the draws is not quite the rate.
    wanted = gain * float(ability.mean()) / above
    low, high = 0.0, 40.0
    for _ in range(40):
        middle = (low + high) / 2.0
        if float((ability - _shifted(ability, middle)).mean()) < wanted:
            low = middle
        else:
            high = middle
    return high if gain else 0.0


class Scores(NamedTuple):
    """Pass/fail scores of prompts, whose abilities a beta distribution gives.

    The compared setting is worse where more than half pass, else better.

    Attributes:
        rate: share that the baseline passes.
        repeats: of each prompt.
        prompts: how many.
        effect: what a difference does. It moves the log odds of all prompts by the same, or each
            ability by the same part of its way to 0 (or to 1); or prompts are all alike.
    """

    rate: float
    repeats: int
    prompts: int
    effect: Effect = "log odds"

    def sides(self, rng: np.random.Generator, gain: float, runs: int) -> tuple[Floats, Floats]:
        """How many repeats of each prompt pass, runs × prompts."""
        size = (runs, self.prompts)
        if self.effect == "prompts alike":
            base = np.full(size, self.rate)
        else:
            base = _abilities(rng, self.rate, size)
        # Both cases are one seen from the other side: what fails more passes less.
        down = self.rate >= 0.5
        way = base if down else 1.0 - base
        if self.effect == "log odds":
            moved = _shifted(way, log_odds_shift(self.rate, gain))
        else:
            moved = way * (1.0 - gain / max(self.rate, 1.0 - self.rate))
        other = moved if down else 1.0 - moved
        counts = (rng.binomial(self.repeats, chance) for chance in (other, base))
        a, b = (count.astype(np.float64) for count in counts)
        return a, b

    def differences(self, rng: np.random.Generator, gain: float, runs: int) -> Floats:
        """The differences of the shares that pass."""
        a, b = self.sides(rng, gain, runs)
        return (a - b) / self.repeats

    def promised(self, rng: np.random.Generator, runs: int) -> tuple[list[float], list[float], int]:
        """The detectable differences that runs without a difference promise.

        From the spread of the differences, from its bound where none varies, and how many none.
        """
        spread: list[float] = []
        bound: list[float] = []
        none = 0
        for a, b in zip(*self.sides(rng, 0.0, runs), strict=True):
            mde, varies = self._detectable(a / self.repeats, b / self.repeats)
            if mde is None:
                none += 1
            else:
                (spread if varies else bound).append(mde)
        return spread, bound, none

    def _detectable(self, a: Floats, b: Floats) -> tuple[float | None, bool]:
        """As a comparison has it, and whether from the spread of the differences."""
        n, differences = self.prompts, a - b
        estimate = stats.standard_error(differences)
        if estimate is None:
            error = stats.bound_standard_error(float(differences.mean()), n)
            if self.repeats == 1:
                return stats.mcnemar_detectable(error**2 * n, n, stats.no_growth, 1.0), False
            mde = stats.detectable(error, n, n - 1)
            return None if mde is None or mde > 1.0 else mde, False
        growth, most = stats.pass_rate_growth(float(a.mean()), float(b.mean()))
        if self.repeats == 1:
            variance = float(np.var(differences))
            return stats.mcnemar_detectable(variance, n, growth, most), True
        return stats.detectable_mean(estimate, differences, growth, most), True


def score_power(rng: np.random.Generator, runs: int, *, scores: Scores) -> Outcome:
    """Power at the detectable difference of pass/fail scores."""
    once = scores.repeats == 1
    pilots = _SLOW_PILOTS if once and scores.prompts < 300 else PILOTS
    spread, bound, none = scores.promised(rng, min(runs, pilots))
    every = len(spread) + len(bound) + none
    if none > every / 2:
        return Outcome(note=f"none promised in {100 * none / every:.0f} %")
    promised = spread if len(spread) >= len(bound) else bound
    # McNemar's test takes steps: what it promises is not proportional to an error.
    gain = float(np.median(promised)) if once else root_mean_square(promised)
    if gain > max(scores.rate, 1.0 - scores.rate):
        return Outcome(note=f"{100 * gain:.0f} points, which there cannot be")
    source = partial(scores.differences, rng)
    outcome = simulate(
        rng, runs, source, gain, None, once=once, prompts=scores.prompts, repeats=scores.repeats
    )
    note = f"{100 * gain:.1f} points"
    if len(spread) < every:
        note += f", from the spread in {100 * len(spread) / every:.0f} %"
    return outcome._replace(note=note)


def score_cases() -> list[Case]:
    """Detectable differences of pass/fail scores, by prompts.

    Effects that prompts differ in are for information: no run without a difference tells how much
    they do.
    """
    rows: list[tuple[float, int, Effect]] = [
        (p, k, effect) for effect in EFFECTS for p in (0.5, 0.9, 0.97) for k in (1, 3, 10)
    ]
    cases: list[Case] = []
    for rate, repeats, effect in rows:
        for prompts in (12, 30, 100, 300):
            measure = partial(score_power, scores=Scores(rate, repeats, prompts, effect))
            above = ""
            if prompts <= 30 and (repeats == 1 or rate > 0.9):
                above = _BOUND if rate > 0.9 else _LARGEST
            promise = POWER._replace(above=above)
            row = f"{100 * rate:.0f} % pass, K={repeats}, {effect}"
            known = None if effect == "in proportion" else promise
            values = prompts * repeats
            cases.append(Case("scores", row, f"{prompts} prompts", measure, known, values))
    return cases
