"""The interval of Cohen's kappa: how often it holds the true value.

A reader passes each output of a prompt with a chance of the prompt's own; a second rater sees the
same output, and finds a pass, and a fail, with chances of the prompt's own. All are drawn from beta
distributions, so that the true kappa follows from their means.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.calibration_cells import COVERAGE, Case, Outcome, Promise
from evalharness.analysis import stats

UNITS = (10, 20, 50, 100, 300)
_FEW = "few units"
_ENOUGH = 50  # prompts, from which on its coverage is promised


class Raters(NamedTuple):
    """Two raters.

    Attributes:
        passes: share of outputs that the first passes.
        finds_pass, finds_fail: how often the second says the same.
    """

    passes: float
    finds_pass: float
    finds_fail: float

    @property
    def kappa(self) -> float:
        """The true value."""
        both = self.passes * self.finds_pass
        neither = (1.0 - self.passes) * self.finds_fail
        second = both + (1.0 - self.passes) * (1.0 - self.finds_fail)
        chance = self.passes * second + (1.0 - self.passes) * (1.0 - second)
        return (both + neither - chance) / (1.0 - chance)


RATERS = (
    Raters(0.5, 0.9, 0.9), Raters(0.8, 0.9, 0.9), Raters(0.9, 0.95, 0.8), Raters(0.7, 0.98, 0.98),
    Raters(0.5, 0.6, 0.6),
)  # fmt: skip


def kappa_coverage(
    rng: np.random.Generator, runs: int, *, raters: Raters, units: int, repeats: int
) -> Outcome:
    """Coverage of the interval.

    Args:
        rng: the source of the data.
        runs: how many.
        raters: what they say.
        units: prompts.
        repeats: marked outputs of each.
    """
    unit, outcome = np.repeat(np.arange(units), repeats), Outcome()

    def chances(mean: float, strength: float) -> np.ndarray:
        return rng.beta(strength * mean, strength * (1.0 - mean), units)[unit]

    for _ in range(runs):
        a = rng.random(len(unit)) < chances(raters.passes, 2.0)
        same = np.where(a, chances(raters.finds_pass, 8.0), chances(raters.finds_fail, 8.0))
        b = np.where(rng.random(len(unit)) < same, a, ~a)
        ends = stats.rater_agreement(a, b, unit).kappa_ci
        if ends is None:
            outcome = outcome.plus(Outcome(undefined=1))
        else:
            outcome = outcome.plus(Outcome(ends[0] <= raters.kappa <= ends[1], 1))
    return outcome


def kappa_cases() -> list[Case]:
    """One output a prompt, and five."""
    cases: list[Case] = []
    for raters in RATERS:
        for repeats in (1, 5):
            row = f"kappa {raters.kappa:.2f}, {100 * raters.passes:.0f} % pass, K={repeats}"
            for units in UNITS:
                measure = partial(kappa_coverage, raters=raters, units=units, repeats=repeats)
                promise: Promise | None = COVERAGE if units >= _ENOUGH else None
                if promise is not None and units == _ENOUGH:
                    promise = promise._replace(above=_FEW)
                values = units * repeats * 4
                cases.append(Case("kappa", row, f"{units} prompts", measure, promise, values))
    return cases
