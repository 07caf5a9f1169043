"""Power at the size that a plan asks for."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.calibration_cells import POWER, Case, Outcome
from benchmarks.calibration_power import simulate
from benchmarks.calibration_scores import Scores
from evalharness.analysis import stats

_LARGE_PILOT = 5_000
_MOST_PROMPTS = 20_000  # of a plan that is simulated


def plan_power(
    rng: np.random.Generator,
    runs: int,
    *,
    rate: float,
    gain: float,
    repeats: int,
    pilot: int,
    alike: bool,
) -> Outcome:
    """Power at the planned size.

    Args:
        rng: the source of the data.
        runs: how many.
        rate: share that the baseline passes.
        gain: the difference.
        repeats: of each prompt.
        pilot: its prompts, with three repeats.
        alike: whether the settings of the pilot do not differ.
    """
    plans = 1 if pilot >= _LARGE_PILOT else min(50, runs)
    outcome, needed = Outcome(), [0]
    for _ in range(plans):
        components = _pilot(rng, rate, 0.0 if alike else gain, pilot)
        prompts = stats.prompts_needed(components, gain, repeats)
        if prompts is None or prompts > _MOST_PROMPTS:
            outcome = outcome.plus(Outcome(undefined=runs // plans))
            continue
        needed.append(prompts)
        source = partial(Scores(rate, repeats, prompts).differences, rng)
        outcome = outcome.plus(
            simulate(
                rng, runs // plans, source, gain, None, once=repeats == 1, prompts=prompts,
                repeats=repeats,
            )
        )  # fmt: skip
    return outcome._replace(note=f"{np.median(needed[1:] or needed):.0f} prompts")


def _pilot(
    rng: np.random.Generator, rate: float, gain: float, prompts: int
) -> stats.VarianceComponents:
    """The components that a pilot of three repeats gives."""
    a, b = Scores(rate, 3, prompts).sides(rng, gain, 1)
    tables = [np.arange(3) < side[0][:, None] for side in (a, b)]
    components = stats.variance_components(*(table.astype(np.float64) for table in tables))
    assert components is not None
    return components


def plan_cases() -> list[Case]:
    """Plans for ten and twenty points, by repeats."""
    cases: list[Case] = []
    rows = [
        (rate, gain, pilot, alike)
        for rate in (0.1, 0.5, 0.9)
        for gain in (0.1, 0.2)
        for pilot, alike in ((_LARGE_PILOT, True), (_LARGE_PILOT, False), (30, True))
        if gain < max(rate, 1 - rate)
    ]
    for rate, gain, pilot, alike in rows:
        for repeats in (1, 3, 10):
            measure = partial(
                plan_power, rate=rate, gain=gain, repeats=repeats, pilot=pilot, alike=alike
            )
            sides = "sides alike" if alike else "sides differ"
            row = f"{100 * gain:.0f} points, {100 * rate:.0f} % pass, pilot of {pilot}, {sides}"
            above = "" if alike else "effects that differ, all in one direction"
            promise = POWER._replace(above=above) if pilot == _LARGE_PILOT else None
            cases.append(Case("plans", row, f"K={repeats}", measure, promise, 100 * repeats))
    return cases
