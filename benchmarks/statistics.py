"""Do the tests and intervals keep their promises? Simulated data, in the sizes people run.

    python -m benchmarks.statistics [--runs 1000] [--seed 1]

Prints Markdown: the share of false positives where nothing differs (5 % promised), the coverage of
the 95 % intervals, and the power of what ``plan --detect`` asks for (80 % promised). Prompts have
abilities of their own, drawn from a beta distribution; repeats are binomial around them. The
figures in docs/statistics.md come from here; quick forms of the same are tests.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis import stats
from evalharness.analysis.stats import design

Floats = NDArray[np.float64]
#: Abilities of prompts: spread evenly, mostly right, nearly always right.
SHAPES = {"mean .50": (1.0, 1.0), "mean .80": (2.0, 0.5), "mean .97": (3.0, 0.1)}


def scores(rng: np.random.Generator, shape: str, prompts: int, repeats: int, runs: int) -> Floats:
    """Mean score of each prompt, two sides with the same abilities: 2 × prompts × runs."""
    ability = rng.beta(*SHAPES[shape], (prompts, runs))
    return rng.binomial(repeats, ability, (2, prompts, runs)) / repeats


def agreements(rng: np.random.Generator, prompts: int, repeats: int, runs: int) -> Floats:
    """Pairwise agreement of each prompt over three variants, two equal sides."""
    chance = rng.dirichlet([0.7, 0.7, 0.7], (prompts, runs))
    count = rng.multinomial(repeats, chance, (2, prompts, runs))
    return (count * (count - 1)).sum(axis=-1) / (repeats * (repeats - 1))


def mcnemar(a: Floats, b: Floats) -> Floats:
    """P of each run."""
    up, down = (a > b).sum(axis=0), (a < b).sum(axis=0)
    return np.array([stats.mcnemar_mid_p(int(u), int(d)) for u, d in zip(up, down, strict=True)])


def false_positives(rng: np.random.Generator, runs: int) -> None:
    """Share of p < .05 where the sides do not differ."""
    print("\n| false positives, % | prompts | K=1 | K=5 | K=10 |\n|---|---|---|---|---|")
    for name in SHAPES:
        for prompts in (15, 50, 200):
            cells: list[str] = []
            for repeats in (1, 5, 10):
                a, b = scores(rng, name, prompts, repeats, runs)
                p = mcnemar(a, b) if repeats == 1 else stats.sign_flip(a - b, draws=1999)
                cells.append(f"{100 * np.mean(p < 0.05):.1f}")
            print(f"| score, {name} | {prompts} | {' | '.join(cells)} |")
    for prompts in (15, 50, 200):
        cells = []
        for repeats in (5, 10):
            a, b = agreements(rng, prompts, repeats, runs)
            cells.append(f"{100 * np.mean(stats.sign_flip(a - b, draws=1999) < 0.05):.1f}")
        print(f"| agreement | {prompts} | – | {' | '.join(cells)} |")


def coverage(rng: np.random.Generator, runs: int) -> None:
    """Share of intervals that hold the true mean."""
    print("\n| coverage, % (K=5) | 10 prompts | 20 | 50 | 100 | 500 |\n|---|---|---|---|---|---|")
    for name, (alpha, beta) in SHAPES.items():
        truth = alpha / (alpha + beta)
        cells = [
            held(rng, name, prompts, runs, truth, "share") for prompts in (10, 20, 50, 100, 500)
        ]
        print(f"| score, {name} | {' | '.join(cells)} |")
        cells = [
            held(rng, name, prompts, runs, 0.0, "difference") for prompts in (10, 20, 50, 100, 500)
        ]
        print(f"| difference, {name} | {' | '.join(cells)} |")


def held(
    rng: np.random.Generator, shape: str, prompts: int, runs: int, truth: float, scale: str
) -> str:
    """Coverage of one cell of the table."""
    a, b = scores(rng, shape, prompts, 5, runs)
    data = a if scale == "share" else a - b
    hits = known = 0
    for run in range(runs):
        ci = stats.mean_ci(data[:, run], scale="share" if scale == "share" else "difference")
        if ci is not None:
            known += 1
            hits += ci[0] <= truth <= ci[1]
    return f"{100 * hits / known:.1f}"


def planned_power(rng: np.random.Generator, runs: int) -> None:
    """Share of runs of the planned size that find the difference, from perfect and real pilots."""
    print("\n| power of the plan, % | K=1 | K=3 | K=5 |\n|---|---|---|---|")
    for pilot in (None, 100, 30):
        cells: list[str] = []
        for repeats in (1, 3, 5):
            found = [planned(rng, pilot, repeats) for _ in range(runs // 2)]
            cells.append(f"{100 * np.mean(found):.1f}")
        name = "true components" if pilot is None else f"pilot of {pilot} prompts × 3"
        print(f"| 10 pp, {name} | {' | '.join(cells)} |")


def sides(
    rng: np.random.Generator, prompts: int, repeats: int, gain: float
) -> tuple[Floats, Floats]:
    """Pass/fail outcomes (prompts × repeats) of two settings that differ by ``gain`` on average."""
    base = rng.uniform(0.2, 0.7, prompts)
    other = base + gain + rng.uniform(-0.1, 0.1, prompts)
    a = (rng.random((prompts, repeats)) < other[:, None]).astype(np.float64)
    return a, (rng.random((prompts, repeats)) < base[:, None]).astype(np.float64)


def planned(rng: np.random.Generator, pilot: int | None, repeats: int) -> bool:
    """Plan for ten points from a pilot, run at that size, and test."""
    gain = 0.10
    if pilot is None:
        spread = 0.5**2 / 12
        mean = 0.45
        within_b = mean - mean**2 - spread
        within_a = (mean + gain) - (mean + gain) ** 2 - spread - 0.2**2 / 12
        components = design.VarianceComponents(
            omega2=0.2**2 / 12, within_a=within_a, within_b=within_b
        )
    else:
        found = stats.variance_components(*sides(rng, pilot, 3, gain))
        assert found is not None
        components = found
    prompts = stats.prompts_needed(components, gain, repeats)
    a, b = sides(rng, prompts, repeats, gain)
    d = a.mean(axis=1) - b.mean(axis=1)
    p = mcnemar(a, b)[0] if repeats == 1 else stats.sign_flip(d, draws=999)[0]
    return bool(p < 0.05)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    error = 100 * math.sqrt(0.05 * 0.95 / options.runs)
    print(f"{options.runs} simulated runs a cell; Monte-Carlo standard error {error:.1f} points")
    false_positives(rng, options.runs)
    coverage(rng, options.runs)
    planned_power(rng, options.runs)


if __name__ == "__main__":
    main()
