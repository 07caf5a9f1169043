"""Power of differences of amounts: is the smallest detectable one found in 80 of 100 runs?"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration_cells import POWER, Case, Outcome, batches
from benchmarks.calibration_differences import DRAWS, mcnemar
from benchmarks.calibration_intervals import LAYOUTS, Ints, Layout, labels_of, sizes_of
from evalharness.analysis import stats

Floats = NDArray[np.float64]
Source = Callable[[float, int], Floats]

#: Runs from which the true difference is taken: the root mean square of what they promise.
PILOTS = 200
_COLUMNS = 100  # that share random patterns
_ONE = "one cluster decides"


def found(rng: np.random.Generator, table: Floats, labels: Ints | None, *, once: bool) -> Outcome:
    """In how many runs (rows) the difference is found."""
    if once:
        p = np.array([mcnemar(row) for row in table])
        return Outcome(int((p < stats.ALPHA).sum()), len(p))
    hits = 0
    for start in range(0, len(table), _COLUMNS):
        seed = int(rng.integers(2**31))
        flips = stats.SignFlips(clusters=labels, seed=seed, draws=DRAWS)
        for column in table[start : start + _COLUMNS]:
            flips.add(column, bounded=False)
        hits += int((flips.tests().p < stats.ALPHA).sum())
    return Outcome(hits, len(table))


def root_mean_square(values: list[float]) -> float:
    """The difference that so many promises speak of: their variances are right on average."""
    return math.sqrt(sum(v * v for v in values) / len(values))


def simulate(
    rng: np.random.Generator,
    runs: int,
    source: Source,
    gain: float,
    labels: Ints | None,
    *,
    once: bool = False,
    prompts: int,
    repeats: int = 1,
) -> Outcome:
    """Run and test at a true difference."""
    outcome = Outcome()
    for part in batches(runs, prompts * repeats * 2):
        outcome = outcome.plus(found(rng, source(gain, part), labels, once=once))
    return outcome


def amount_power(
    rng: np.random.Generator, runs: int, *, kind: str, layout: Layout, units: int
) -> Outcome:
    """Power at the detectable difference of normal differences, or of skewed seconds.

    Args:
        rng: the source of the data.
        runs: how many.
        kind: ``normal``, ``seconds, shifted`` or ``seconds, a factor``.
        layout: how prompts form units.
        units: how many.
    """
    sizes, labels = sizes_of(layout, units), labels_of(layout, units)

    def sides(gain: float, runs: int) -> tuple[Floats, Floats]:
        shape = (runs, int(sizes.sum()))
        if kind == "normal":
            unit = np.repeat(rng.standard_normal((runs, units)), sizes, axis=1)
            return gain + unit + rng.standard_normal(shape), np.zeros(shape)
        a, b = np.exp(0.5 * rng.standard_normal(shape) + 0.5 * rng.standard_normal((2, *shape)))
        if kind.endswith("factor"):
            return a * (1.0 + gain / math.exp(0.25)), b
        return a + gain, b

    def source(gain: float, runs: int) -> Floats:
        a, b = sides(gain, runs)
        return a - b

    promised: list[float] = []
    for a, b in zip(*sides(0.0, PILOTS), strict=True):
        spread = stats.standard_error(a - b, labels)
        assert spread is not None
        sums, _ = stats.unit_sums(a - b, labels)
        growth = stats.factor_growth(a, b) if kind.endswith("factor") else stats.no_growth
        mde = stats.detectable_mean(spread, sums, growth, math.inf)
        if mde is not None:
            promised.append(mde)
    # Where a variance grows with the difference, a promise is not proportional to an error.
    grows = kind.endswith("factor")
    gain = float(np.median(promised)) if grows else root_mean_square(promised)
    prompts = int(sizes.sum())
    return simulate(rng, runs, source, gain, labels, prompts=prompts)


def power_cases() -> list[Case]:
    """Detectable differences, by the number of prompts or clusters."""
    cases: list[Case] = []
    rows: list[tuple[str, Layout]] = [("normal", layout) for layout in LAYOUTS]
    rows.extend((f"seconds, {effect}", LAYOUTS[0]) for effect in ("shifted", "a factor"))
    for kind, layout in rows:
        for units in (6, 8, 12, 30, 100, 1000) if layout == "prompts" else (6, 8, 12, 30, 100):
            measure = partial(amount_power, kind=kind, layout=layout, units=units)
            values = int(sizes_of(layout, units).sum())
            promise = POWER._replace(above=_ONE if layout == "one large cluster" else "")
            row = f"{kind}, {layout}"
            cases.append(Case("mde", row, f"{units} units", measure, promise, values))
    return cases
