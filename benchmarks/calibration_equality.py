"""The model equality test on simulated token models: false alarms, power, and planned sizes.

The paper's 1.6 million completions (37 GB) are not used: what is simulated here is its design. Each
prompt has a tree of next-token distributions, 50 tokens deep; both sides draw completions of the
same prompts, as many of each, at temperature 1. The null draws twice from one tree. The
alternatives change the tree as the paper's do: log-odds with a fixed error in every state (what
rounding of weights does, ``small`` to ``large``), a watermark that favours half of the vocabulary
in every state (Kirchenbauer et al., ICML 2023), another temperature, and completions that belong to
another prompt. How far an alternative is from the null is the mean total variation of a next token.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration_cells import FALSE, Case, Outcome, Promise
from evalharness.analysis import stats
from evalharness.analysis.equality.kernel import PromptKernel, hamming_kernel
from evalharness.analysis.equality.permutation_test import equality_test
from evalharness.analysis.equality.power import (
    KernelFigures,
    UnrelatedOutputs,
    detectable_share,
    kernel_figures,
    prompts_needed,
)

LENGTH = 50  # tokens, as the paper's language modelling prompts
RANKS = 8  # next tokens that a state allows
VOCABULARY = 1_000
DRAWS = 999
#: A share found by its promise; more is on the safe side.
FOUND = Promise(0.72, 0.9)

Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]


class Change(NamedTuple):
    """How the second side differs.

    Attributes:
        error: standard deviation of a fixed error of the log-odds in each state.
        watermark: what is added to the log-odds of half of the next tokens.
        temperature: at which it draws.
        share: of its completions that belong to another prompt.
    """

    error: float = 0.0
    watermark: float = 0.0
    temperature: float = 1.0
    share: float = 0.0


NONE = Change()
#: The alternatives by name.
CHANGES = {
    "rounding, small": Change(error=0.1),
    "rounding, middle": Change(error=0.3),
    "rounding, large": Change(error=0.6),
    "watermark": Change(watermark=2.5),
    "temperature 0.7": Change(temperature=0.7),
    "a tenth from elsewhere": Change(share=0.1),
    "a quarter from elsewhere": Change(share=0.25),
}
#: How sharp next tokens are: from nearly always the first to all eight alike, by state.
SHARPNESS = {"varied": (0.3, 12.0), "steady": (3.0, 40.0)}


def _mix(values: Hashes) -> Hashes:
    """Each value scrambled to 64 even bits (SplitMix64)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _even(values: Hashes) -> Floats:
    """Hashes as numbers in [0, 1)."""
    return (values >> np.uint64(11)).astype(np.float64) / 2.0**53


def _chances(states: Hashes, sharpness: tuple[float, float], change: Change) -> Floats:
    """The chance of each next token in each state; states × ranks."""
    low, high = np.log(sharpness)
    sharp = np.exp(low + (high - low) * _even(_mix(states ^ np.uint64(1))))
    ranks = np.arange(RANKS, dtype=np.uint64)
    logits = -sharp[:, None] * ranks.astype(np.float64) / change.temperature
    keys = _mix(_mix(states)[:, None] ^ (ranks + np.uint64(77)))
    if change.error:
        first, second = _even(keys), _even(_mix(keys))
        normal = np.sqrt(-2.0 * np.log(1.0 - first)) * np.cos(2.0 * np.pi * second)
        logits += change.error * normal
    if change.watermark:
        logits += change.watermark * (_mix(keys ^ np.uint64(5)) & np.uint64(1))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def completions(
    rng: np.random.Generator, prompts: Hashes, sharpness: str, change: Change = NONE
) -> NDArray[Any]:
    """One completion of each prompt, as tokens.

    Args:
        rng: the source of the draws.
        prompts: the root of the tree of each completion.
        sharpness: one of :data:`SHARPNESS`.
        change: how the model differs from the reference.
    """
    states = prompts.copy()
    if change.share:
        moved = rng.random(states.size) < change.share
        states[moved] = rng.integers(0, 2**63, moved.sum(), dtype=np.uint64)
    tokens = np.zeros((states.size, LENGTH), np.int64)
    for position in range(LENGTH):
        chances = _chances(states, SHARPNESS[sharpness], change)
        rank = (rng.random((states.size, 1)) > np.cumsum(chances, axis=1)[:, :-1]).sum(axis=1)
        states = _mix(states * np.uint64(31) + rank.astype(np.uint64) + np.uint64(1))
        tokens[:, position] = VOCABULARY ** _even(states)  # common tokens are common everywhere
    return tokens


def kernels(
    rng: np.random.Generator, prompts: int, repeats: int, sharpness: str, change: Change
) -> list[PromptKernel]:
    """The kernels of a run: both sides of each prompt."""
    roots = rng.integers(0, 2**63, prompts, dtype=np.uint64)
    first = completions(rng, np.repeat(roots, repeats), sharpness)
    second = completions(rng, np.repeat(roots, repeats), sharpness, change)
    sides = [side.reshape(prompts, repeats, LENGTH) for side in (first, second)]
    both = np.concatenate(sides, axis=1)
    return [PromptKernel(hamming_kernel(rows), repeats) for rows in both]


def unrelated(rng: np.random.Generator, sharpness: str) -> UnrelatedOutputs:
    """The agreement of completions of different prompts."""
    rows = completions(rng, rng.integers(0, 2**63, 300, dtype=np.uint64), sharpness)
    pairs = hamming_kernel(rows)[~np.eye(300, dtype=np.bool_)]
    return UnrelatedOutputs(float(pairs.mean()), float(pairs.var()))


def token_distance(rng: np.random.Generator, sharpness: str, change: Change) -> float:
    """Mean total variation between the next-token distributions of both sides."""
    states = rng.integers(0, 2**63, 20_000, dtype=np.uint64)
    chances = [_chances(states, SHARPNESS[sharpness], each) for each in (NONE, change)]
    return float(0.5 * np.abs(chances[0] - chances[1]).sum(axis=1).mean())


def rejections(
    rng: np.random.Generator,
    runs: int,
    *,
    prompts: int,
    repeats: int,
    sharpness: str = "varied",
    change: Change = NONE,
) -> Outcome:
    """How often p is below .05; the note says how far the alternative is."""
    below = 0
    for _ in range(runs):
        simulated = kernels(rng, prompts, repeats, sharpness, change)
        test = equality_test(simulated, seed=int(rng.integers(2**31)), draws=DRAWS)
        below += test.p < stats.ALPHA
    if change == NONE or change.share:
        return Outcome(below, runs)
    return Outcome(below, runs, note=f"{token_distance(rng, sharpness, change):.3f} a token")


def found_share(
    rng: np.random.Generator, runs: int, *, prompts: int, repeats: int, sharpness: str
) -> Outcome:
    """Power at the share that a run without a difference says it would find."""
    base, shares = unrelated(rng, sharpness), []
    for _ in range(max(5, runs // 20)):
        simulated = kernels(rng, prompts, repeats, sharpness, NONE)
        test = equality_test(simulated, draws=DRAWS)
        figures = kernel_figures([prompt.kernel for prompt in simulated], base)
        if figures is None or test.critical is None:
            continue
        share = detectable_share(
            figures, test.critical, test.spread, [(repeats, repeats)] * prompts
        )
        if share is not None:
            shares.append(share)
    if not shares:
        return Outcome(undefined=runs)
    median = float(np.median(shares))
    found = rejections(
        rng,
        runs,
        prompts=prompts,
        repeats=repeats,
        sharpness=sharpness,
        change=Change(share=median),
    )
    return found._replace(note=f"{100 * median:.0f} %")


def planned(
    rng: np.random.Generator, runs: int, *, share: float, repeats: int, sharpness: str
) -> Outcome:
    """Power with as many prompts as a plan from a pilot of 50 prompts and 10 repeats asks for."""
    figures = pilot_figures(rng, sharpness)
    prompts = prompts_needed(figures, share, repeats)
    if prompts is None or prompts > 500:
        return Outcome(undefined=runs, note="above 500 prompts")
    found = rejections(
        rng, runs, prompts=prompts, repeats=repeats, sharpness=sharpness, change=Change(share=share)
    )
    return found._replace(note=f"{prompts} prompts")


def pilot_figures(rng: np.random.Generator, sharpness: str, prompts: int = 50) -> KernelFigures:
    """The figures of one side of a run with ten repeats."""
    simulated = kernels(rng, prompts, 5, sharpness, NONE)
    figures = kernel_figures([prompt.kernel for prompt in simulated], unrelated(rng, sharpness))
    assert figures is not None
    return figures


def equality_cases() -> list[Case]:
    """Equal models, then each alternative at the paper's ten repeats and others."""
    cases: list[Case] = []

    def add(row: str, prompts: int, measure: Callable[..., Outcome], **more: Any) -> None:
        promise = FALSE if row.startswith("equal") else None
        repeats = more["repeats"]
        cost = prompts * repeats * 1_500
        cases.append(Case("equality", row, f"{prompts} prompts",
                          partial(measure, prompts=prompts, **more), promise, cost))  # fmt: skip

    for sharpness in SHARPNESS:
        for repeats in (2, 4, 10):
            for prompts in (1, 5, 25):
                row = f"equal, {sharpness}, {repeats} repeats"
                add(row, prompts, rejections, repeats=repeats, sharpness=sharpness)
    for name, change in CHANGES.items():
        for repeats in (2, 10):
            for prompts in (5, 25, 100):
                row = f"{name}, {repeats} repeats"
                add(row, prompts, rejections, repeats=repeats, change=change)
    return cases


def equality_power_cases() -> list[Case]:
    """What "would be found in 80 % of such runs" comes to, and sizes from a plan."""
    cases: list[Case] = []
    for sharpness in SHARPNESS:
        for repeats in (2, 4, 10):
            for prompts in (5, 25, 100):
                measure = partial(
                    found_share, prompts=prompts, repeats=repeats, sharpness=sharpness
                )
                row = f"share said to be found, {sharpness}, {repeats} repeats"
                promise = FOUND if prompts >= 25 else None
                cost = prompts * repeats * 1_500
                column = f"{prompts} prompts"
                cases.append(Case("equality_power", row, column, measure, promise, cost))
        for repeats in (2, 5, 10):
            for share in (0.1, 0.2, 0.5):
                measure = partial(planned, share=share, repeats=repeats, sharpness=sharpness)
                row = f"prompts of a plan, {sharpness}, {repeats} repeats"
                column = f"{100 * share:.0f} % from elsewhere"
                cases.append(Case("equality_power", row, column, measure, None, 200_000))
    return cases
