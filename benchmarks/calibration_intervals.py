"""Intervals of single figures: how often they hold the true value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration_cells import COVERAGE, Case, Outcome, Promise, batches
from evalharness.analysis import stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Layout = Literal["prompts", "clusters of 4", "one large cluster", "clusters of 1 to n"]

UNITS = (6, 12, 30, 300)
LAYOUTS: tuple[Layout, ...] = (
    "prompts", "clusters of 4", "one large cluster", "clusters of 1 to n",
)  # fmt: skip
REPEATS = 5
FEW = "very few units"
CONSTANT = "often all equal"
RANKS = "rank steps"


def sizes_of(layout: Layout, units: int) -> Ints:
    """How many prompts each unit has."""
    if layout == "prompts":
        return np.ones(units, np.int64)
    if layout == "clusters of 4":
        return np.full(units, 4)
    if layout == "clusters of 1 to n":
        return np.arange(1, units + 1)
    return np.array([30, *(2 + np.arange(units - 1) % 2)])


def labels_of(layout: Layout, units: int) -> Ints | None:
    """The cluster of each prompt; None where prompts are the units."""
    return None if layout == "prompts" else np.repeat(np.arange(units), sizes_of(layout, units))


def abilities(rng: np.random.Generator, mean: float, sizes: Ints, runs: int) -> Floats:
    """The chance of success of each prompt (runs × prompts), alike within clusters."""
    if sizes.max() == 1:
        return rng.beta(2 * mean, 2 * (1 - mean), (runs, sizes.size))
    cluster = rng.beta(4 * mean, 4 * (1 - mean), (runs, sizes.size))
    centre = np.clip(np.repeat(cluster, sizes, axis=1), 1e-6, 1 - 1e-6)
    return rng.beta(4 * centre, 4 * (1 - centre))


def variant_chances(
    rng: np.random.Generator, weights: Sequence[float], sizes: Ints, runs: int
) -> Floats:
    """The chance of each of three outputs of each prompt, alike within clusters."""
    centre = _dirichlet(rng, np.broadcast_to(weights, (runs, sizes.size, 3)))
    if sizes.max() == 1:
        return centre
    return _dirichlet(rng, 3.0 * np.clip(np.repeat(centre, sizes, axis=1), 1e-6, 1.0))


def expected_agreement(weights: Sequence[float], *, clusters: bool) -> float:
    """The chance that two outputs of one prompt are equal."""
    w = np.array(weights)
    same = float((w * (w + 1)).sum() / (w.sum() * (w.sum() + 1)))
    return (3.0 * same + 1.0) / 4.0 if clusters else same


def agreements(rng: np.random.Generator, chances: Floats) -> Floats:
    """Pairwise agreement of the repeats of each prompt."""
    counts = rng.multinomial(REPEATS, chances / chances.sum(axis=-1, keepdims=True))
    return (counts * (counts - 1)).sum(axis=-1) / (REPEATS * (REPEATS - 1))


def _dirichlet(rng: np.random.Generator, weights: Floats) -> Floats:
    drawn = rng.standard_gamma(weights) + 1e-300
    return drawn / drawn.sum(axis=-1, keepdims=True)


def amounts(
    rng: np.random.Generator, between: float, within: float, sizes: Ints, shape: tuple[int, ...]
) -> Floats:
    """Lognormal amounts (runs × prompts × …): units differ by ``between``, values ``within``."""
    unit = np.repeat(rng.standard_normal((shape[0], sizes.size)), sizes, axis=1)
    unit = unit.reshape(unit.shape + (1,) * (len(shape) - 2))
    return np.exp(between * unit + within * rng.standard_normal(shape))


def mean_coverage(
    rng: np.random.Generator, runs: int, *, kind: str, value: float, layout: Layout, units: int
) -> Outcome:
    """Coverage of the interval of the mean of a share or an amount.

    Args:
        rng: the source of the data.
        runs: how many.
        kind: of the figure.
        value: the true share, or the s of lognormal amounts.
        layout: how prompts form units.
        units: how many.
    """
    sizes, labels = sizes_of(layout, units), labels_of(layout, units)
    outcome = Outcome()
    for part in batches(runs, int(sizes.sum()) * 3):
        if kind == "availability":
            outcome = outcome.plus(_availability(rng, part, value, sizes, labels))
            continue
        truth, table = _values(rng, part, kind, value, sizes)
        scale = "amount" if kind in ("lognormal", "exponential") else "share"
        ends = [stats.mean_ci(row, clusters=labels, scale=scale) for row in table]
        outcome = outcome.plus(count_intervals(ends, truth))
    return outcome


def _values(
    rng: np.random.Generator, runs: int, kind: str, value: float, sizes: Ints
) -> tuple[float, Floats]:
    """The true mean, and one value a prompt (runs × prompts)."""
    shape = (runs, int(sizes.sum()))
    if kind == "exponential":
        return 1.0, rng.standard_exponential(shape)
    if kind == "lognormal":
        clustered = sizes.max() > 1
        parts = (value * math.sqrt(0.3), value * math.sqrt(0.7)) if clustered else (0.0, value)
        return math.exp(value**2 / 2), amounts(rng, *parts, sizes, shape)
    if kind == "agreement":
        weights = (0.7, 0.7, 0.7) if value < 0.7 else (1.5, 0.1, 0.05)
        truth = expected_agreement(weights, clusters=bool(sizes.max() > 1))
        return truth, agreements(rng, variant_chances(rng, weights, sizes, runs))
    chance = abilities(rng, value, sizes, runs)
    if kind == "TAR@N":
        return value, (rng.random(shape) < chance).astype(np.float64)
    return value, rng.binomial(REPEATS, chance) / REPEATS


def _availability(
    rng: np.random.Generator, runs: int, value: float, sizes: Ints, labels: Ints | None
) -> Outcome:
    """Of trials, of which an interrupted run leaves prompts different numbers."""
    prompts = int(sizes.sum())
    trials = rng.integers(2, 9, (runs, prompts))
    usable = rng.binomial(trials, abilities(rng, value, sizes, runs))
    ends: list[stats.Interval | None] = []
    unit = np.arange(prompts) if labels is None else labels
    for n, k in zip(trials, usable, strict=True):
        sums, counts = (np.bincount(unit, x).astype(np.float64) for x in (k, n))
        ends.append(stats.ratio_ci(sums, counts, scale="share"))
    return count_intervals(ends, value)


def count_intervals(ends: Sequence[stats.Interval | None], truth: float) -> Outcome:
    """How many intervals hold the true value."""
    known = [end for end in ends if end is not None]
    hits = sum(low - 1e-12 <= truth <= high + 1e-12 for low, high in known)
    return Outcome(hits, len(known), len(ends) - len(known))


def percentile_coverage(
    rng: np.random.Generator,
    runs: int,
    *,
    share: float,
    spread: tuple[float, float],
    layout: Layout,
    units: int,
) -> Outcome:
    """Coverage of the interval of a percentile of seconds, five trials a prompt.

    Args:
        rng: the source of the data.
        runs: how many.
        share: which percentile, 0 to 1.
        spread: s of the lognormal seconds between and within units.
        layout: how prompts form units.
        units: how many.
    """
    sizes = sizes_of(layout, units)
    prompts = int(sizes.sum())
    unit = np.repeat(np.repeat(np.arange(units), sizes), REPEATS)
    truth = math.exp(math.hypot(*spread) * NormalDist().inv_cdf(share))
    outcome = Outcome()
    for part in batches(runs, prompts * REPEATS):
        for row in amounts(rng, *spread, sizes, (part, prompts, REPEATS)):
            (figure,) = stats.quantiles(row.ravel(), unit, units, [share])
            outcome = outcome.plus(count_ends(figure.low, figure.high, truth))
    return outcome


def count_ends(low: float | None, high: float | None, truth: float) -> Outcome:
    """Whether an interval that may lack ends holds the true value."""
    if low is None and high is None:
        return Outcome(undefined=1)
    above = low is None or low - 1e-12 <= truth
    below = high is None or truth <= high + 1e-12
    return Outcome(above and below, 1, one_sided=low is None or high is None)


def share_cases() -> list[Case]:
    """Means of shares, by units and by how prompts form them."""
    rows = [("score", 0.5), ("score", 0.8), ("score", 0.97), ("agreement", 0.6),
            ("agreement", 0.9), ("TAR@N", 0.5), ("TAR@N", 0.9), ("availability", 0.97)]  # fmt: skip
    cases: list[Case] = []
    for kind, value in rows:
        for layout in LAYOUTS:
            for units in UNITS:
                measure = partial(mean_coverage, kind=kind, value=value, layout=layout, units=units)
                few = FEW if units <= 12 or layout == "one large cluster" else ""
                above = CONSTANT if value > 0.85 and units <= 30 else few
                row = f"{kind} {100 * value:.0f} %, {layout}"
                promise = COVERAGE._replace(above=above)
                values = int(sizes_of(layout, units).sum())
                cases.append(Case("shares", row, f"{units} units", measure, promise, values))
    return cases


def amount_cases() -> list[Case]:
    """Means of amounts; nothing is promised below ten units, or clusters worth as many."""
    rows: list[tuple[str, float, Layout]] = [
        ("lognormal", 0.5, "prompts"), ("lognormal", 1.0, "prompts"),
        ("exponential", 1.0, "prompts"), ("lognormal", 0.5, "clusters of 4"),
        ("lognormal", 0.5, "one large cluster"), ("lognormal", 0.5, "clusters of 1 to n"),
        ("lognormal", 1.0, "clusters of 4"), ("lognormal", 1.0, "one large cluster"),
        ("lognormal", 1.0, "clusters of 1 to n"),
    ]  # fmt: skip
    cases: list[Case] = []
    for kind, value, layout in rows:
        for units in UNITS:
            measure = partial(mean_coverage, kind=kind, value=value, layout=layout, units=units)
            alike = stats.effective_units(sizes_of(layout, units).astype(np.float64))
            promise = COVERAGE if alike >= stats.ENOUGH_FOR_AMOUNTS else None
            name = kind if kind == "exponential" else f"{kind} s={value:g}"
            values = int(sizes_of(layout, units).sum())
            cases.append(
                Case("amounts", f"{name}, {layout}", f"{units} units", measure, promise, values)
            )
    return cases


def percentile_cases() -> list[Case]:
    """Percentiles of seconds."""
    rows: list[tuple[Layout, tuple[float, float]]] = [
        ("prompts", (0.8, 0.1)), ("prompts", (0.5, 0.5)), ("prompts", (0.0, 0.5)),
        ("clusters of 4", (0.5, 0.5)), ("one large cluster", (0.5, 0.5)),
        ("clusters of 1 to n", (0.5, 0.5)),
    ]  # fmt: skip
    cases: list[Case] = []
    promise: Promise = COVERAGE._replace(above=RANKS)
    for layout, spread in rows:
        for share in (0.5, 0.95, 0.99):
            for units in UNITS:
                measure = partial(
                    percentile_coverage, share=share, spread=spread, layout=layout, units=units
                )
                row = f"p{100 * share:.0f}, s={spread[0]:g} between, {spread[1]:g} within, {layout}"
                values = int(sizes_of(layout, units).sum()) * 4 * REPEATS
                cases.append(Case("percentiles", row, f"{units} units", measure, promise, values))
    return cases
