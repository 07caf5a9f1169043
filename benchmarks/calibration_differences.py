"""Intervals and tests of paired differences: coverage, false positives, agreement of both."""

from __future__ import annotations

import math
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration_cells import COVERAGE, Case, Outcome, batches
from benchmarks.calibration_intervals import (
    CONSTANT,
    FEW,
    LAYOUTS,
    RANKS,
    REPEATS,
    UNITS,
    Ints,
    Layout,
    abilities,
    agreements,
    amounts,
    count_ends,
    labels_of,
    sizes_of,
    variant_chances,
)
from evalharness.analysis import stats
from evalharness.analysis.comparison.trends import slopes_over

Floats = NDArray[np.float64]

DRAWS = 1_999
_COLUMNS = 100  # that share random patterns
_POINTS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
ONE_REPEAT = "one pass/fail repeat"
#: Row of the table → (truth, whether a difference of shares, base rate).
KINDS: dict[str, tuple[float, bool]] = {
    "score 50 %, nothing differs": (0.0, True),
    "score 80 %, nothing differs": (0.0, True),
    "score 97 %, nothing differs": (0.0, True),
    "score 90 % against 80 %": (-0.1, True),
    f"{ONE_REPEAT} 50 %, nothing differs": (0.0, True),
    f"{ONE_REPEAT} 80 %, nothing differs": (0.0, True),
    f"{ONE_REPEAT} 90 % against 80 %": (-0.1, True),
    "agreement, nothing differs": (0.0, True),
    "lognormal s=1, nothing differs": (0.0, False),
    "lognormal s=1 × 1.3, sides independent": (0.3 * math.exp(0.5), False),
    "lognormal s=1 × 1.3, sides alike": (0.3 * math.exp(0.5), False),
    "logarithm of the ratio, × 1.3": (math.log(1.3), False),
    "slope of a score over five settings": (0.2, False),
}
_CLUSTERED = (
    "score 80 %, nothing differs", "score 97 %, nothing differs", "score 90 % against 80 %",
    "lognormal s=1 × 1.3, sides alike", "logarithm of the ratio, × 1.3",
)  # fmt: skip


def differences(rng: np.random.Generator, kind: str, sizes: Ints, runs: int) -> Floats:
    """Paired differences, runs × prompts."""
    shape = (runs, int(sizes.sum()))
    if "lognormal" in kind or "ratio" in kind:
        return _amount_differences(rng, kind, sizes, shape)
    if kind.startswith("agreement"):
        chances = variant_chances(rng, (0.7, 0.7, 0.7), sizes, runs)
        return agreements(rng, chances) - agreements(rng, chances)
    if kind.startswith("slope"):
        chance = 0.3 + 0.4 * abilities(rng, 0.5, sizes, runs)
        later = chance[..., None] + 0.2 * (_POINTS - 0.5)
        table = rng.binomial(REPEATS, later) / REPEATS
        return slopes_over(_POINTS, table.reshape(-1, _POINTS.size)).reshape(shape)
    repeats = 1 if kind.startswith(ONE_REPEAT) else REPEATS
    if "against" in kind:
        base = abilities(rng, 0.9, sizes, runs)
        return (rng.binomial(repeats, base * 8 / 9) - rng.binomial(repeats, base)) / repeats
    base = abilities(
        rng, next(p for p in (0.5, 0.8, 0.97) if f"{100 * p:.0f} %" in kind), sizes, runs
    )
    return (rng.binomial(repeats, base) - rng.binomial(repeats, base)) / repeats


def _amount_differences(
    rng: np.random.Generator, kind: str, sizes: Ints, shape: tuple[int, ...]
) -> Floats:
    factor = 1.0 if "nothing" in kind else 1.3
    alike = "alike" in kind or "ratio" in kind
    prompt, noise = (0.8, 0.6) if alike else (0.0, 1.0)
    shared = amounts(rng, prompt, 0.0, sizes, shape)
    # The effect of a setting on a cluster as a whole makes its prompts alike.
    own = (0.6 * noise, 0.8 * noise)
    a = factor * shared * amounts(rng, *own, sizes, shape)
    b = shared * amounts(rng, *own, sizes, shape)
    return np.log(a) - np.log(b) if "ratio" in kind else a - b


def difference_coverage(
    rng: np.random.Generator, runs: int, *, kind: str, layout: Layout, units: int
) -> Outcome:
    """Coverage of intervals of differences, false positives and contradictions.

    Args:
        rng: the source of the data.
        runs: how many.
        kind: one of :data:`KINDS`.
        layout: how prompts form units.
        units: how many.
    """
    truth, bounded = KINDS[kind]
    sizes, labels = sizes_of(layout, units), labels_of(layout, units)
    outcome = Outcome()
    for part in batches(runs, int(sizes.sum()) * 8):
        table = differences(rng, kind, sizes, part)
        for start in range(0, part, _COLUMNS):
            flips = stats.SignFlips(clusters=labels, seed=int(rng.integers(2**31)), draws=DRAWS)
            for column in table[start : start + _COLUMNS]:
                p = mcnemar(column) if kind.startswith(ONE_REPEAT) and labels is None else None
                flips.add(column, bounded=bounded, p=p)
            outcome = outcome.plus(count_tests(flips.tests(), truth))
    return outcome


def mcnemar(column: Floats) -> float:
    """The p value of pass/fail differences."""
    return stats.mcnemar_mid_p(int((column > 0).sum()), int((column < 0).sum()))


def count_tests(tests: stats.FlipTests, truth: float) -> Outcome:
    """How many intervals hold the truth, and how many contradict their p."""
    known = np.isfinite(tests.low) & np.isfinite(tests.high)
    low, high = np.where(known, tests.low, -1.0), np.where(known, tests.high, 1.0)
    significant = tests.p < stats.ALPHA - 1e-12
    without_zero = (low > 0.0) | (high < 0.0)
    return Outcome(
        hits=int((known & (low - 1e-9 <= truth) & (truth <= high + 1e-9)).sum()),
        runs=int(known.sum()),
        undefined=int((~known).sum()),
        significant=int(significant.sum()),
        contradictions=int((known & (significant != without_zero)).sum()),
        tests=int(np.isfinite(tests.p).sum()),
    )


def percentile_difference_coverage(
    rng: np.random.Generator, runs: int, *, share: float, factor: float, units: int
) -> Outcome:
    """Coverage of the interval of a difference of percentiles, five trials a prompt and side.

    Args:
        rng: the source of the data.
        runs: how many.
        share: which percentile, 0 to 1.
        factor: by which one side is slower.
        units: prompts.
    """
    sizes, unit = np.ones(units, np.int64), np.repeat(np.arange(units), REPEATS)
    truth = (factor - 1.0) * math.exp(math.hypot(0.5, 0.3) * NormalDist().inv_cdf(share))
    outcome = Outcome()
    for part in batches(runs, units * REPEATS * 2):
        for row in amounts(rng, 0.5, 0.3, sizes, (part, units, 2, REPEATS)):
            (a,) = stats.quantiles(factor * row[:, 0].ravel(), unit, units, [share])
            (b,) = stats.quantiles(row[:, 1].ravel(), unit, units, [share])
            ends = stats.quantile_difference(a, b)
            outcome = outcome.plus(count_ends(*(ends or (None, None)), truth))
    return outcome


def difference_cases() -> list[Case]:
    """Differences over prompts, then over clusters of them."""
    rows: list[tuple[str, Layout]] = [(kind, LAYOUTS[0]) for kind in KINDS]
    rows.extend((kind, layout) for kind in _CLUSTERED for layout in LAYOUTS[1:])
    cases: list[Case] = []
    for kind, layout in rows:
        for units in UNITS:
            measure = partial(difference_coverage, kind=kind, layout=layout, units=units)
            few = FEW if units <= 12 or (layout == "one large cluster" and units <= 30) else ""
            above = CONSTANT if "97 %" in kind or (ONE_REPEAT in kind and units <= 30) else few
            sizes = sizes_of(layout, units)
            promise, values = COVERAGE._replace(above=above), int(sizes.sum())
            # The difference of skewed amounts is skewed, but where nothing differs.
            alike = stats.effective_units(sizes.astype(np.float64))
            if kind.startswith("lognormal s=1 ×") and alike < stats.ENOUGH_FOR_AMOUNTS:
                promise = None
            cases.append(
                Case("differences", f"{kind}, {layout}", f"{units} units", measure, promise, values)
            )
    return cases


def percentile_difference_cases() -> list[Case]:
    """Differences of the median and of the p95."""
    cases: list[Case] = []
    for share in (0.5, 0.95):
        for factor in (1.0, 1.3):
            for units in UNITS:
                measure = partial(
                    percentile_difference_coverage, share=share, factor=factor, units=units
                )
                row = f"difference of p{100 * share:.0f}, × {factor:g}"
                promise = COVERAGE._replace(above=RANKS)
                values = units * REPEATS * 8
                cases.append(Case("percentiles", row, f"{units} units", measure, promise, values))
    return cases
