"""The test of agreement across settings: false positives where both answer alike, and power."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.calibration_cells import FALSE, Case, Outcome
from evalharness.analysis import stats
from evalharness.analysis.across.shuffle_test import own_against_across_p

OUTPUTS = 6  # that a prompt may have
PROMPTS = (2, 6, 12, 30, 100, 2_500)
#: Row of the table → how evenly a prompt's chances are spread over its outputs (Dirichlet).
SPREADS = {"nearly always one output": 0.05, "few outputs": 0.3, "many outputs": 2.0}
REPEATS = ((3, 3), (2, 8), (10, 10))
#: Pairs of a report, which share its shuffles.
PAIRS = 100


def across_tests(
    rng: np.random.Generator,
    runs: int,
    *,
    prompts: int,
    spread: float,
    repeats: tuple[int, int],
    moved: float = 0.0,
) -> Outcome:
    """How often the test is below .05.

    Args:
        rng: the source of the data.
        runs: how many.
        prompts: of each.
        spread: one of :data:`SPREADS`.
        repeats: of each setting.
        moved: the share of prompts whose chances the second setting draws anew.
    """
    below = 0
    for _ in range(runs):
        chances = rng.dirichlet([spread] * OUTPUTS, size=prompts)
        other = rng.dirichlet([spread] * OUTPUTS, size=prompts)
        second = np.where(rng.random((prompts, 1)) < moved, other, chances)
        a, b = rng.multinomial(repeats[0], chances), rng.multinomial(repeats[1], second)
        given = a + b > 0
        p = own_against_across_p(a[given], b[given], np.nonzero(given)[0], pairs=PAIRS)
        assert p is not None
        below += p < stats.ALPHA
    return Outcome(below, runs)


def across_cases() -> list[Case]:
    """Settings that do not differ, then ones that differ in a fifth of the prompts."""
    cases: list[Case] = []
    for name, spread in SPREADS.items():
        for a, b in REPEATS:
            for prompts in PROMPTS:
                measure = partial(across_tests, prompts=prompts, spread=spread, repeats=(a, b))
                row, values = f"alike, {name}, {a} against {b} repeats", prompts * (a + b) * 20
                column = f"{prompts:,} prompts"
                cases.append(Case("across", row, column, measure, FALSE, values))
    for prompts in PROMPTS:
        measure = partial(across_tests, prompts=prompts, spread=0.3, repeats=(3, 3), moved=0.2)
        row = "a fifth of the prompts differs, few outputs, 3 against 3 repeats"
        cases.append(Case("across", row, f"{prompts:,} prompts", measure, None, prompts * 200))
    return cases
